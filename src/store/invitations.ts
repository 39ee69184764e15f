import { hash, randomBytes } from 'node:crypto'
import { and, desc, eq, isNull, lt, sql } from 'drizzle-orm'
import { SealError } from '../sealing/sealer.ts'
import type { Sealer } from '../sealing/sealer.ts'
import { orBusy } from './database.ts'
import type { Database } from './database.ts'
import { StoreError } from './error.ts'
import { invitations } from './schema.ts'

/** What somebody is invited to, under a link that works once. */
export type Invitation = { readonly person: string } & (
  | { readonly does: 'register' }
  | {
      readonly does: 'accept'
      /** Which of their passkeys is to sign. */
      readonly credential: string
      /** Canonical bytes of the epoch that they sign, base64. */
      readonly roster: string
    }
)

export type KeptInvitation = Invitation & {
  readonly createdAt: Date
  readonly until: Date
  /** A document, as it was checked when it came; null: not used. */
  readonly answer: string | null
}

const MINUTES = 15
const TOKEN_BYTES = 32
/** Long enough for the operator to fetch what came of it. */
const KEEP = sql`interval '7 days'`

type Store = { readonly db: Database; readonly sealer: Sealer }

/** @returns the token, of which nothing is kept but its hash */
export async function invite(
  { db, sealer }: Store,
  invitation: Invitation,
): Promise<{ token: string; until: Date }> {
  const token = randomBytes(TOKEN_BYTES)
  const tokenHash = hashOf(token)
  // Judged by both clocks: whoever sets back one of them prolongs nothing.
  const until = new Date(Date.now() + MINUTES * 60_000)
  const asked = sealer.seal('invitation', askedIn(tokenHash), bytesOf({ ...invitation, until }))
  await orBusy(async () => {
    await db.delete(invitations).where(lt(invitations.createdAt, sql`clock_timestamp() - ${KEEP}`))
    await db.insert(invitations).values({
      tokenHash,
      asked,
      createdAt: sql`clock_timestamp()`,
      until: sql`clock_timestamp() + ${MINUTES} * interval '1 minute'`,
    })
  })
  return { token: token.toString('base64url'), until }
}

/** null: no such link, used already, or its time is over. @throws StoreError `row-tampered` */
export async function findInvitation(
  { db, sealer }: Store,
  token: string,
): Promise<Invitation | null> {
  const tokenHash = hashOf(Buffer.from(token, 'base64url'))
  const [row] = await orBusy(
    async () => await db.select().from(invitations).where(isOpen(tokenHash)).limit(1),
  )
  if (row === undefined) return null
  const { until, ...invitation } = opened(sealer, row)
  return Date.now() < until.getTime() ? invitation : null
}

/** Once: of two answers that come at the same time, one is kept. @returns whether it was this one */
export async function answerInvitation(
  { db, sealer }: Store,
  { token, answer }: { readonly token: string; readonly answer: string },
): Promise<boolean> {
  const tokenHash = hashOf(Buffer.from(token, 'base64url'))
  const sealed = sealer.seal('invitation', answerIn(tokenHash), Buffer.from(answer))
  const { rowCount } = await orBusy(
    async () => await db.update(invitations).set({ answer: sealed }).where(isOpen(tokenHash)),
  )
  return rowCount === 1
}

/** Newest first. @throws StoreError `row-tampered` */
export async function listInvitations({ db, sealer }: Store): Promise<KeptInvitation[]> {
  const rows = await orBusy(
    async () => await db.select().from(invitations).orderBy(desc(invitations.createdAt)),
  )
  return rows.map((row) => {
    const { tokenHash, answer, createdAt } = row
    const text = answer === null ? null : openText(sealer, answerIn(tokenHash), answer)
    return { ...opened(sealer, row), createdAt, answer: text }
  })
}

function isOpen(tokenHash: Uint8Array) {
  return and(
    eq(invitations.tokenHash, tokenHash),
    isNull(invitations.answer),
    sql`clock_timestamp() < ${invitations.until}`,
  )
}

function opened(
  sealer: Sealer,
  { tokenHash, asked }: { readonly tokenHash: Uint8Array; readonly asked: Uint8Array },
): Invitation & { readonly until: Date } {
  // Nobody but this file seals such a value.
  const value = JSON.parse(openText(sealer, askedIn(tokenHash), asked)) as Invitation & {
    until: string
  }
  return { ...value, until: new Date(value.until) }
}

function openText(sealer: Sealer, context: string[], sealed: Uint8Array): string {
  try {
    return sealer.open('invitation', context, sealed).toString('utf8')
  } catch (cause) {
    if (!(cause instanceof SealError)) throw cause
    const why = 'was changed in the database, or was sealed under another HOLDFAST_SECRET_FILE'
    throw new StoreError('row-tampered', `an invitation ${why}`, { cause })
  }
}

const hashOf = (token: Uint8Array) => new Uint8Array(hash('sha256', token, 'buffer'))
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const askedIn = (tokenHash: Uint8Array) => [hexOf(tokenHash), 'asked']
const answerIn = (tokenHash: Uint8Array) => [hexOf(tokenHash), 'answer']
const bytesOf = (value: object) => Buffer.from(JSON.stringify(value))
