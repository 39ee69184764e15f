import { randomUUID } from 'node:crypto'
import { and, eq, inArray, lt, sql } from 'drizzle-orm'
import type { Delivery, Digest, NoticeStore } from '../notify/deliver.ts'
import type { NewNotice, Notice } from '../notify/notice.ts'
import type { Database } from './database.ts'
import { contacts, noticeDeliveries, notices, requests } from './schema.ts'

/** What nobody could be told in a week is told no more; the record has it. */
const KEEP = sql`interval '7 days'`
/** How long an instance has what it took, before another one may take it. */
const LEASE = sql`interval '1 minute'`
const DIGEST_EVERY = sql`interval '5 minutes'`
/** In one run, for one target. */
const MAX_TAKEN = 200

const now = sql<Date>`clock_timestamp()`

/** Keeps a notice; one about the same event and subject is there already. */
export async function addNotice(db: Database, notice: NewNotice): Promise<void> {
  await db
    .insert(notices)
    .values({ ...notice, id: randomUUID(), createdAt: now })
    .onConflictDoNothing()
}

export function createNoticeStore(db: Database): NoticeStore {
  return {
    spread: async (targets) => {
      await db.delete(notices).where(lt(notices.createdAt, sql`${now} - ${KEEP}`))
      await db
        .delete(noticeDeliveries)
        .where(
          sql`not exists (select 1 from ${notices} where ${notices.id} = ${noticeDeliveries.noticeId})`,
        )
      await noticeRequests(db)
      await spreadTo(db, targets)
    },
    takeWebhooks: async (targets) => await takeWebhooks(db, targets),
    takeDigests: async (persons) => await takeDigests(db, persons),
    settle: async (delivered) => {
      for (const delivery of delivered)
        await db.update(noticeDeliveries).set({ deliveredAt: now }).where(isDelivery(delivery))
    },
    postpone: async (failed) => {
      for (const delivery of failed)
        await db
          .update(noticeDeliveries)
          .set({
            attempts: sql`${noticeDeliveries.attempts} + 1`,
            dueAt: sql`${now} + least(interval '1 hour', interval '5 seconds' * power(2, least(${noticeDeliveries.attempts}, 12)))`,
          })
          .where(isDelivery(delivery))
    },
  }
}

/** From the requests themselves, so that none is forgotten by a process that died before it told. */
async function noticeRequests(db: Database): Promise<void> {
  await db.execute(sql`
    insert into ${notices} (id, kind, event, subject, detail, created_at)
    select gen_random_uuid(), 'approval-wanted', 'approval-wanted', ${requests.id}::text,
      jsonb_build_object('caller', ${requests.caller}, 'key', ${requests.keyId},
        'class', ${requests.operationClass}, 'did', ${requests.did},
        'rules', array_to_string(${requests.rules}, ', ')),
      clock_timestamp()
    from ${requests} where ${requests.state} = 'proposed'
    on conflict do nothing`)
}

/** New receivers hear of what is still kept; so a notice that committed late is missed by nobody. */
async function spreadTo(db: Database, targets: readonly string[]): Promise<void> {
  if (targets.length === 0) return
  await db.execute(sql`
    insert into ${noticeDeliveries} (notice_id, target, due_at)
    select ${notices.id}, target, clock_timestamp()
    from ${notices}, unnest(${sql.param([...targets])}::text[]) as target
    on conflict do nothing`)
}

async function takeWebhooks(db: Database, targets: readonly string[]): Promise<Delivery[]> {
  if (targets.length === 0) return []
  const taken = await take(db, targets)
  return taken.map(({ notice, target }) => ({ notice, target }))
}

/** The five minutes begin before the mail is sent: a crash costs a delay, never a second mail at once. */
async function takeDigests(db: Database, persons: readonly string[]): Promise<Digest[]> {
  const digests: Digest[] = []
  for (const person of persons) {
    const target = `mail:${person}`
    const digest = await db.transaction(async (tx) => {
      const [contact] = await tx
        .update(contacts)
        .set({ mailedAt: now })
        .where(
          sql`${contacts.person} = ${person}
            and (${contacts.mailedAt} is null or ${contacts.mailedAt} < ${now} - ${DIGEST_EVERY})
            and exists (select 1 from ${noticeDeliveries} where ${noticeDeliveries.target} = ${target}
              and ${noticeDeliveries.deliveredAt} is null and ${noticeDeliveries.dueAt} <= ${now})`,
        )
        .returning({ email: contacts.email })
      if (contact === undefined) return null
      const taken = await take(tx, [target])
      return { person, email: contact.email, notices: taken.map(({ notice }) => notice) }
    })
    if (digest !== null) digests.push(digest)
  }
  return digests
}

async function take(
  db: Pick<Database, 'select' | 'update'>,
  targets: readonly string[],
): Promise<Delivery[]> {
  const due = db
    .select({ noticeId: noticeDeliveries.noticeId, target: noticeDeliveries.target })
    .from(noticeDeliveries)
    .where(
      and(
        inArray(noticeDeliveries.target, [...targets]),
        sql`${noticeDeliveries.deliveredAt} is null and ${noticeDeliveries.dueAt} <= ${now}`,
      ),
    )
    .orderBy(noticeDeliveries.dueAt)
    .limit(MAX_TAKEN)
    .for('update', { skipLocked: true })
  const taken = await db
    .update(noticeDeliveries)
    .set({ dueAt: sql`${now} + ${LEASE}` })
    .where(sql`(${noticeDeliveries.noticeId}, ${noticeDeliveries.target}) in (${due})`)
    .returning({ noticeId: noticeDeliveries.noticeId, target: noticeDeliveries.target })
  if (taken.length === 0) return []
  const rows = await db
    .select()
    .from(notices)
    .where(
      inArray(
        notices.id,
        taken.map(({ noticeId }) => noticeId),
      ),
    )
    .orderBy(notices.createdAt)
  return rows.flatMap((row) =>
    taken
      .filter(({ noticeId }) => noticeId === row.id)
      .map(({ target }) => ({ notice: toNotice(row), target })),
  )
}

function toNotice({ createdAt, ...row }: typeof notices.$inferSelect): Notice {
  return { ...row, at: createdAt }
}

function isDelivery({ noticeId, target }: { noticeId: string; target: string }) {
  return and(eq(noticeDeliveries.noticeId, noticeId), eq(noticeDeliveries.target, target))
}

export type Contact = { readonly person: string; readonly email: string }

/** Where a person gets mail. A database owner can change it: a message says nothing that helps. */
export async function setContact(db: Database, { person, email }: Contact): Promise<void> {
  await db
    .insert(contacts)
    .values({ person, email })
    .onConflictDoUpdate({ target: contacts.person, set: { email, mailedAt: null } })
}

/** @returns whether there was one */
export async function removeContact(db: Database, person: string): Promise<boolean> {
  const gone = await db.delete(contacts).where(eq(contacts.person, person)).returning()
  return gone.length > 0
}

export async function listContacts(db: Database): Promise<Contact[]> {
  return await db
    .select({ person: contacts.person, email: contacts.email })
    .from(contacts)
    .orderBy(contacts.person)
}
