import type { PrivateKey } from '../../src/ecdsa/private-key.ts'
import { attachSignature, cidOf, didOfGenesis, signingBytes } from '../../src/plc/encode.ts'
import type { LegacyCreate } from '../../src/plc/operation.ts'
import { parseSignedOperation } from '../../src/plc/operation.ts'
import {
  createAccount,
  createAccountTwice,
  inParallel,
  updateHandle,
} from '../../test/e2e/support/flows.ts'
import type { Account } from '../../test/e2e/support/flows.ts'
import { readAuditLog, readExport, submitToDirectory } from '../../test/e2e/support/oracle.ts'
import type { Pds } from '../../test/e2e/support/pds.ts'
import type { PlcServer } from '../../test/e2e/support/plc-server.ts'

/** How an account came to be as it is; what a recovery can do for it follows from that. */
export type Kind = 'plain' | 'renamed' | 'user-above' | 'legacy' | 'tombstoned' | 'without-recovery'

/** Kinds that come back. */
export const savable: readonly Kind[] = ['plain', 'renamed', 'user-above', 'legacy']

export type Member = {
  readonly did: string
  readonly kind: Kind
  /** null: the PDS does not have it, a list names it. */
  readonly account: Account | null
}

const WIDTH = 4

/** Accounts that a PDS made before anybody had a recovery key. */
export async function makeEarly(pds: Pds, count: number): Promise<Member[]> {
  const made = await inParallel(
    count,
    WIDTH,
    async (index) => await createAccount(pds, `early${index}`),
  )
  return made.map((account) => ({ did: account.did, kind: 'without-recovery' as const, account }))
}

/**
 * The others: a third has changed its handle, one in twenty has a key of the user's own on top, one in
 * twenty is from the time of the legacy genesis, and a few sign-ups have failed.
 */
export async function makeOthers(
  pds: Pds,
  count: number,
  {
    plc,
    lost,
    recovery,
    userKey,
  }: { plc: PlcServer; lost: PrivateKey; recovery: string; userKey: string },
): Promise<Member[]> {
  const few = Math.max(1, Math.floor(count / 20))
  const made = await inParallel(count - 3 * few, WIDTH, async (index): Promise<Member> => {
    const isAbove = index < few
    const name = `user${index}`
    const account = await createAccount(pds, name, isAbove ? { recoveryKey: userKey } : {})
    if (isAbove) return { did: account.did, kind: 'user-above', account }
    if (index % 3 !== 0) return { did: account.did, kind: 'plain', account }
    return {
      did: account.did,
      kind: 'renamed',
      account: await updateHandle(pds, account, `new${index}`),
    }
  })
  for (let index = 0; index < few; index += 1) {
    made.push(await makeLegacy(plc, index, lost, recovery))
  }
  for (let index = 0; index < few; index += 1) await createAccountTwice(pds, `twin${index}`)
  const known = new Set(made.map(({ did }) => did))
  return [...made, ...(await leftBySignUps(plc.url, known))]
}

/** What failed sign-ups have left: of two at once, one account and one tombstone. */
async function leftBySignUps(plcUrl: string, known: ReadonlySet<string>): Promise<Member[]> {
  const entries = await readExport(plcUrl)
  const ended = new Set(
    entries.filter(({ operation }) => operation.type === 'plc_tombstone').map(({ did }) => did),
  )
  const twins = entries.filter(({ did, operation }) => {
    const { alsoKnownAs = [] } = operation as { alsoKnownAs?: string[] }
    return !known.has(did) && alsoKnownAs.some((name) => name.startsWith('at://twin'))
  })
  return [...new Set(twins.map(({ did }) => did))].map((did) => ({
    did,
    kind: ended.has(did) ? ('tombstoned' as const) : ('plain' as const),
    account: null,
  }))
}

async function makeLegacy(
  plc: PlcServer,
  index: number,
  lost: PrivateKey,
  recovery: string,
): Promise<Member> {
  const legacy: LegacyCreate = {
    type: 'create',
    signingKey: lost.did,
    recoveryKey: recovery,
    handle: `legacy${index}.test`,
    service: 'https://pds.test',
    prev: null,
  }
  const sig = Buffer.from(await lost.sign(signingBytes(legacy))).toString('base64url')
  const operation = { ...legacy, sig }
  const did = didOfGenesis(operation)
  await plc.putLegacy({ did, operation, cid: cidOf(operation), createdAt: new Date() })
  return { did, kind: 'legacy', account: null }
}

/** By whoever has the key, past the PDS: the handle is another one now, and the head has moved. */
export async function moveHead(plcUrl: string, did: string, key: PrivateKey): Promise<string> {
  const last = (await readAuditLog(plcUrl, did)).at(-1)
  const head = parseSignedOperation(last?.operation)
  if (head.type !== 'plc_operation') throw new Error(`${did} is at ${head.type}`)
  const { sig: _, ...before } = head
  const operation = { ...before, alsoKnownAs: ['at://went-on.test'], prev: cidOf(head) }
  const signed = attachSignature(operation, await key.sign(signingBytes(operation)))
  await submitToDirectory(plcUrl, did, signed)
  return cidOf(signed)
}
