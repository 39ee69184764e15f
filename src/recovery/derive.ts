import type { Change } from '../plc/diff.ts'
import { diffOperation } from '../plc/diff.ts'
import { requestDigest, signingBytes } from '../plc/encode.ts'
import type { SigningBytes } from '../plc/encode.ts'
import { PlcError } from '../plc/error.ts'
import { checkLimits } from '../plc/limits.ts'
import { verifyLog } from '../plc/log.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { OperationData, PlcOperation } from '../plc/operation.ts'
import type { Proof } from '../plc/proof.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import type { Evidence } from './bundle.ts'
import type { Exclusion, Intent } from './intent.ts'

/**
 * What people should look at, though it keeps no account from its operation.
 * - `key-above-recovery`: a key of the user's own can undo the operation for 72 hours
 * - `recovery-below-server`: the server's key can undo what the recovery key signs
 * - `other-key`: a rotation key that is neither ours nor the recovery key
 * - `key-repeated`: the lost key was listed more than once; the new one is listed once
 * - `legacy`: the identity is still as its legacy genesis made it
 * - `nullified`: its history was rewritten before
 */
export const remarks = [
  'key-above-recovery',
  'recovery-below-server',
  'other-key',
  'key-repeated',
  'legacy',
  'nullified',
] as const
export type Remark = (typeof remarks)[number]

/** What one account gets: derived from its verified log by the intent's transformation, and only here. */
export type DerivedOperation = Proof<
  {
    readonly kind: 'operation'
    readonly did: string
    readonly operation: PlcOperation & { readonly prev: string }
    readonly bytes: SigningBytes
    /** SHA-256 of the bytes. */
    readonly digest: Uint8Array
    readonly previous: OperationData
    readonly remarks: readonly Remark[]
  },
  'DerivedOperation'
>

export type Excluded = {
  readonly kind: 'excluded'
  readonly did: string
  readonly reason: Exclusion
  /** For people; foreign text in it is quoted and escaped. */
  readonly detail: string
}

export type Judged = DerivedOperation | Excluded

type Keys = Pick<Intent, 'lost' | 'recovery' | 'did'>

/** Verifies the log of an account from its genesis on and derives its operation, or says why there is none. */
export async function judgeAccount(
  evidence: Evidence,
  keys: Keys,
  verify: EcdsaVerify,
): Promise<Judged> {
  const { did } = evidence
  if ('absent' in evidence) return excluded(did, evidence.absent, '')
  try {
    return deriveOperation(await verifyLog(did, evidence.log, verify), keys)
  } catch (error) {
    if (!(error instanceof PlcError)) throw error
    return excluded(did, 'invalid-log', error.message)
  }
}

/** `replace-server-key`: the new key in the lost key's place, and nothing else of the identity. */
export function deriveOperation(log: VerifiedLog, keys: Keys): Judged {
  const { did, head, data } = log
  if (data === null) return excluded(did, 'tombstoned', '')
  const reason = whyNot(data, keys)
  if (reason !== null) return excluded(did, reason, '')
  const operation = {
    type: 'plc_operation' as const,
    ...data,
    rotationKeys: replaceKey(data.rotationKeys, keys),
    prev: head.cid,
  }
  const finding = checkLimits(operation, data)
  if (finding !== null) return excluded(did, 'limits', `${finding.rule}: ${finding.message}`)
  requireShape(did, diffOperation(data, operation), keys)
  const bytes = signingBytes(operation)
  return Object.freeze({
    kind: 'operation',
    did,
    operation,
    bytes,
    digest: requestDigest(bytes),
    previous: data,
    remarks: remarksOn(log, data, keys),
  }) as unknown as DerivedOperation
}

function whyNot({ rotationKeys }: OperationData, { lost, recovery, did }: Keys): Exclusion | null {
  if (!rotationKeys.includes(lost)) {
    return rotationKeys.includes(did) ? 'already-replaced' : 'lost-key-not-listed'
  }
  return rotationKeys.includes(recovery) ? null : 'recovery-key-not-listed'
}

/** Once, in the first place of the lost key; where it is listed already it stays where it is. */
function replaceKey(rotationKeys: readonly string[], { lost, did }: Keys): string[] {
  const isKept = (key: string, index: number): boolean =>
    key !== lost || (!rotationKeys.includes(did) && rotationKeys.indexOf(lost) === index)
  return rotationKeys.filter(isKept).map((key) => (key === lost ? did : key))
}

/** The same once more, from the other side: the diff may hold nothing but the one key for the other. */
function requireShape(did: string, changes: readonly Change[], keys: Keys): void {
  const isMeant = (change: Change): boolean =>
    (change.kind === 'rotationKeys.remove' && change.value === keys.lost) ||
    (change.kind === 'rotationKeys.add' && change.value === keys.did)
  if (changes.length > 0 && changes.every(isMeant)) return
  throw new TypeError(`${did}: the derived operation changes more than the key`)
}

function remarksOn(log: VerifiedLog, data: OperationData, keys: Keys): Remark[] {
  const { rotationKeys } = data
  const recovery = rotationKeys.indexOf(keys.recovery)
  const server = rotationKeys.indexOf(keys.lost)
  const isOther = (key: string) => ![keys.recovery, keys.lost, keys.did].includes(key)
  const found: Readonly<Record<Remark, boolean>> = {
    'key-above-recovery': rotationKeys.slice(0, recovery).some(isOther),
    'recovery-below-server': recovery > server,
    'other-key': rotationKeys.some(isOther),
    'key-repeated': rotationKeys.filter((key) => key === keys.lost || key === keys.did).length > 1,
    legacy: log.head.operation.type === 'create',
    nullified: log.entries.some(({ nullified }) => nullified),
  }
  return remarks.filter((remark) => found[remark])
}

function excluded(did: string, reason: Exclusion, detail: string): Excluded {
  return { kind: 'excluded', did, reason, detail }
}
