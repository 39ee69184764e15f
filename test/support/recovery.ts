import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPlan } from '../../src/bundle/plan.ts'
import type { Parts, Purpose } from '../../src/bundle/plan.ts'
import { possessionChallenge } from '../../src/ceremony/document.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { attachSignature, cidOf, didOfGenesis, signingBytes } from '../../src/plc/encode.ts'
import type {
  LegacyCreate,
  PlcOperation,
  SignedOperation,
  UnsignedOperation,
} from '../../src/plc/operation.ts'
import { policySetBytes } from '../../src/policy/canonical.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { rosterBytes } from '../../src/policy/parse/roster.ts'
import { readPolicyFiles } from '../../src/policy-files.ts'
import type { Evidence } from '../../src/recovery/bundle.ts'
import type { Intent } from '../../src/recovery/intent.ts'
import { probeMessage } from '../../src/signer/pkcs11/probe.ts'
import { fastKey } from './generate-logs.ts'
import type { AuditRow } from './generate-logs.ts'

type Key = Awaited<ReturnType<typeof fastKey>>

/** The keys of a PDS that has lost its own, of which a test holds the private halves. */
export type Keys = {
  readonly lost: Key
  readonly replacement: Key
  readonly recovery: Key
  readonly user: Key
  readonly stranger: Key
}

export async function recoveryKeys(recovery?: Key): Promise<Keys> {
  return {
    lost: await fastKey('lost'),
    replacement: await fastKey('replacement'),
    recovery: recovery ?? (await fastKey('recovery')),
    user: await fastKey('user'),
    stranger: await fastKey('stranger'),
  }
}

const genesis = (name: string, rotationKeys: readonly string[], atproto: string): PlcOperation => ({
  type: 'plc_operation',
  rotationKeys: [...rotationKeys],
  verificationMethods: { atproto },
  alsoKnownAs: [`at://${name}.example.com`],
  services: {
    atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' },
  },
  prev: null,
})

const START = Date.UTC(2026, 0, 1)

/** A log in the making, as the directory lists it. */
export async function logOf(
  first: PlcOperation | LegacyCreate,
  ...steps: { readonly by: Key; readonly change: (head: SignedOperation) => UnsignedOperation }[]
): Promise<{ by(key: Key): Promise<{ did: string; log: AuditRow[] }> }> {
  return {
    by: async (key) => {
      const sign = async (operation: UnsignedOperation | LegacyCreate, signer: Key) => {
        const compact = await signer.sign(signingBytes(operation))
        return attachSignature(operation as UnsignedOperation, compact)
      }
      const operations = [await sign(first, key)]
      for (const { by, change } of steps) {
        operations.push(await sign(change(operations.at(-1)!), by))
      }
      const did = didOfGenesis(operations[0]!)
      const log = operations.map((operation, index) => ({
        did,
        operation,
        cid: cidOf(operation),
        nullified: false,
        createdAt: new Date(START + index * 86_400_000).toISOString(),
      }))
      return { did, log }
    },
  }
}

/** The next operation: what is not given stays. */
export const next =
  (changes: Partial<PlcOperation>) =>
  (head: SignedOperation): PlcOperation => {
    if (head.type !== 'plc_operation') throw new TypeError(`nothing follows ${head.type} here`)
    const { sig: _, ...before } = head
    return { ...before, ...changes, prev: cidOf(head) }
  }

export const accountKinds = [
  'plain',
  'renamed',
  'user-above',
  'user-below',
  'recovery-below',
  'legacy',
  'tombstoned',
  'no-recovery',
  'moved',
  'replaced',
  'invalid',
  'not-registered',
  'unread',
] as const
export type AccountKind = (typeof accountKinds)[number]

/** One account of that kind; the same for the same number. */
export async function makeAccount(
  kind: AccountKind,
  number: number,
  keys: Keys,
): Promise<Evidence> {
  const { lost, recovery, replacement, user, stranger } = keys
  const name = `user${number}`
  const atproto = (await fastKey(`atproto ${number}`)).did
  const made = async (rotationKeys: readonly Key[]) =>
    genesis(
      name,
      rotationKeys.map(({ did }) => did),
      atproto,
    )
  switch (kind) {
    case 'plain':
      return await (await logOf(await made([recovery, lost]))).by(lost)
    case 'renamed': {
      const change = next({ alsoKnownAs: [`at://new${number}.example.com`] })
      return await (await logOf(await made([recovery, lost]), { by: lost, change })).by(lost)
    }
    case 'user-above':
      return await (await logOf(await made([user, recovery, lost]))).by(lost)
    case 'user-below':
      return await (await logOf(await made([recovery, lost, user]))).by(lost)
    case 'recovery-below':
      return await (await logOf(await made([lost, recovery]))).by(lost)
    case 'legacy': {
      const legacy: LegacyCreate = {
        type: 'create',
        signingKey: lost.did,
        recoveryKey: recovery.did,
        handle: `${name}.example.com`,
        service: 'https://pds.example.com',
        prev: null,
      }
      return await (await logOf(legacy)).by(lost)
    }
    case 'tombstoned': {
      const change = (head: SignedOperation) =>
        ({ type: 'plc_tombstone', prev: cidOf(head) }) as const
      return await (await logOf(await made([recovery, lost]), { by: lost, change })).by(lost)
    }
    case 'no-recovery':
      return await (await logOf(await made([lost]))).by(lost)
    case 'moved': {
      const change = next({ rotationKeys: [stranger.did] })
      return await (await logOf(await made([recovery, lost]), { by: lost, change })).by(lost)
    }
    case 'replaced': {
      const change = next({ rotationKeys: [recovery.did, replacement.did] })
      return await (await logOf(await made([recovery, lost]), { by: recovery, change })).by(lost)
    }
    case 'invalid': {
      const { did, log } = await (await logOf(await made([recovery, lost]))).by(lost)
      return { did, log: [{ ...log[0], nullified: true }] }
    }
    case 'not-registered':
    case 'unread': {
      const { did } = await (await logOf(await made([recovery, lost]))).by(lost)
      return { did, absent: kind }
    }
  }
}

/** The example without officers, in which a ceremony asks nobody. */
export async function soloPolicies(): Promise<PolicySet> {
  return parsePolicySet(await readPolicyFiles('policies/examples/solo'))
}

export function purposeOf(keys: Keys, policies: PolicySet, fields: Partial<Purpose> = {}): Purpose {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return {
    env: 'prod',
    ceremony: '00112233445566778899aabbccddeeff',
    made: '2026-11-01T12:00:00.000Z',
    planner: null,
    audience: 'http://localhost:2590',
    transformation: 'replace-server-key',
    lost: keys.lost.did,
    recovery: keys.recovery.did,
    did: keys.replacement.did,
    policies: hex(policies.digest),
    roster: policies.roster === null ? null : hex(policies.roster.digest),
    ...fields,
  }
}

/** What the new key does to prove itself. */
export const signIntentBy =
  (key: Key) =>
  async (intent: Intent): Promise<Intent> => {
    const proof = await key.sign(probeMessage(possessionChallenge(intent)))
    return { ...intent, proof: Buffer.from(proof).toString('base64url') }
  }

export function partsOf(keys: Keys, policies: PolicySet): Parts {
  return {
    policies: policySetBytes(policies),
    roster: policies.roster === null ? null : new Uint8Array(rosterBytes(policies.roster)),
    verify: openVerifier().verify,
    sign: signIntentBy(keys.replacement),
  }
}

/** Evidence in the order of a bundle. */
export const sorted = (accounts: readonly Evidence[]): Evidence[] =>
  [...accounts].sort((a, b) => (a.did < b.did ? -1 : 1))

export async function writeBundle(
  path: string,
  accounts: readonly Evidence[],
  {
    keys,
    policies,
    purpose = purposeOf(keys, policies),
  }: {
    keys: Keys
    policies: PolicySet
    purpose?: Purpose
  },
): Promise<Intent> {
  const evidence = sorted(accounts)
  const plan = await openPlan(
    path,
    purpose,
    evidence.map(({ did }) => did),
  )
  await plan.add(evidence.slice(plan.done))
  const { intent } = await plan.finish(partsOf(keys, policies))
  await plan.close()
  return intent
}

export function cardOf(intent: Intent): string {
  return [
    'trust: holdfast/trust/v1',
    'log: audit.example.com+5704cfcb+ASx/xoal1ueAA/Ufem5TDCun64WX3XJ3kEGS1oz7PMat',
    `policies: [${intent.policies}]`,
    'ceremony:',
    `  env: ${intent.env}`,
    `  recovery: ${intent.recovery}`,
    ...(intent.roster === null ? [] : [`  roster: ${intent.roster}`]),
    '',
  ].join('\n')
}

/** A folder of its own, gone with `close`. */
export async function openHome(): Promise<{
  readonly dir: string
  path(name: string): string
  write(name: string, content: string | Uint8Array): Promise<string>
  close(): Promise<void>
}> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-recovery-'))
  const path = (name: string) => join(dir, name)
  return {
    dir,
    path,
    write: async (name, content) => {
      await writeFile(path(name), content)
      return path(name)
    },
    close: async () => await rm(dir, { recursive: true, force: true }),
  }
}
