import { operationData, parseSignedOperation } from '../../src/plc/operation.ts'
import type { Account } from '../../test/e2e/support/flows.ts'
import { post, updateHandle } from '../../test/e2e/support/flows.ts'
import { postSomething } from '../../test/e2e/support/migration.ts'
import { assertSoundLog, readAuditLog } from '../../test/e2e/support/oracle.ts'
import type { Listed } from '../../test/e2e/support/oracle.ts'
import type { Pds } from '../../test/e2e/support/pds.ts'
import { savable } from './population.ts'
import type { Member } from './population.ts'

/** What the directory had of each account before the ceremony. */
export type Before = ReadonlyMap<string, readonly Listed[]>

export async function readAll(plcUrl: string, members: readonly Member[]): Promise<Before> {
  const logs = new Map<string, readonly Listed[]>()
  for (const { did } of members) logs.set(did, await readAuditLog(plcUrl, did))
  return logs
}

/**
 * Every account as the directory has it now, judged by libraries that are not ours: one operation more
 * where it could be saved, with the one key for the other and nothing else changed; none where not.
 * @returns how many came back @throws Error naming the account
 */
export async function judgeOutcome(
  plcUrl: string,
  members: readonly Member[],
  { before, lost, replacement }: { before: Before; lost: string; replacement: string },
): Promise<{ readonly saved: number; readonly left: number }> {
  let saved = 0
  for (const { did, kind } of members) {
    const old = before.get(did) ?? []
    const now = await readAuditLog(plcUrl, did)
    const isSavable = savable.includes(kind)
    if (now.length !== old.length + (isSavable ? 1 : 0)) {
      throw new Error(`${did} (${kind}): ${now.length} operations, ${old.length} before`)
    }
    const kept = now.slice(0, old.length).map(({ cid, nullified }) => `${cid} ${nullified}`)
    if (kept.join() !== old.map(({ cid, nullified }) => `${cid} ${nullified}`).join()) {
      throw new Error(`${did} (${kind}): its history was rewritten`)
    }
    if (!isSavable) continue
    await assertSoundLog(did, now)
    requireOneKey(did, old.at(-1), now.at(-1), { lost, replacement })
    saved += 1
  }
  return { saved, left: members.length - saved }
}

function requireOneKey(
  did: string,
  old: Listed | undefined,
  now: Listed | undefined,
  { lost, replacement }: { lost: string; replacement: string },
): void {
  const was = operationData(parseSignedOperation(old?.operation))
  const is = operationData(parseSignedOperation(now?.operation))
  if (was === null || is === null) throw new Error(`${did}: a tombstone`)
  const expected = {
    ...was,
    rotationKeys: was.rotationKeys.map((key) => (key === lost ? replacement : key)),
  }
  if (canonical(expected) !== canonical(is))
    throw new Error(`${did}: more than one key has changed`)
}

/** The order of a map says nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  )
}

/** The PDS runs with its new key behind the door: users log in, post, and change their handles. */
export async function liveOn(pds: Pds, members: readonly Member[], count: number): Promise<number> {
  const living = members.flatMap(({ kind, account }) =>
    savable.includes(kind) && account !== null ? [account] : [],
  )
  const some = living.filter((_, index) => index % Math.ceil(living.length / count) === 0)
  for (const [index, account] of some.entries()) {
    const session = await logIn(pds, account)
    await postSomething(pds, session)
    await updateHandle(pds, session, `again${index}`)
  }
  return some.length
}

async function logIn(pds: Pds, account: Account): Promise<Account> {
  const method = 'com.atproto.server.createSession'
  const name = account.email.replace('@users.test', '')
  const body = { identifier: account.email, password: `password of ${name}` }
  const { accessJwt } = await post<{ accessJwt: string }>(pds, { method, body })
  return { ...account, accessJwt }
}
