import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import type { PolicySet } from '../policy/policy-set.ts'
import { TrustError } from './error.ts'

const FORMAT = 'holdfast/trust-record/v1'
const MAX_BYTES = 1024

const digest = z.custom<Uint8Array>(
  (value) => value instanceof Uint8Array && value.length === 32,
  'must be 32 bytes',
)

const schema = z.strictObject({
  format: z.literal(FORMAT),
  /** A log of development never becomes one of production. */
  env: z.enum(['dev', 'prod']),
  /** Digest of the policy set: keys, callers and their rights included. */
  policies: digest,
  roster: z.strictObject({ epoch: z.int().min(1), digest }).nullable(),
  /** 1 for the first, one more with each change. */
  sequence: z.int().min(1),
})

/**
 * What is in force. It stands in the held record, where neither the database nor the policy files
 * reach: files of another digest are a candidate, and rows of the database say nothing.
 */
export type TrustRecord = Omit<z.infer<typeof schema>, 'format'>

/** Canonical DAG-CBOR. @throws TrustError `malformed` */
export function encodeTrust(record: TrustRecord): Uint8Array {
  const { env, policies, roster, sequence } = record
  const parsed = schema.safeParse({ format: FORMAT, env, policies, roster, sequence })
  if (!parsed.success) throw malformed(whereOf(parsed.error))
  return new Uint8Array(dagCbor.encode(parsed.data))
}

/** Strict: these bytes are the one encoding of what they say. @throws TrustError `malformed` */
export function decodeTrust(bytes: Uint8Array): TrustRecord {
  if (bytes.length > MAX_BYTES) throw malformed('it is too large')
  const parsed = schema.safeParse(decodeOrNull(bytes))
  if (!parsed.success) throw malformed(whereOf(parsed.error))
  const { format: _, ...record } = parsed.data
  if (Buffer.compare(encodeTrust(record), bytes) !== 0)
    throw malformed('its bytes are not canonical')
  return record
}

type Loaded = Pick<PolicySet, 'env' | 'digest' | 'roster'>

/** The record that puts this set, with its officers, in force after `before`. */
export function recordOf(loaded: Loaded, before: TrustRecord | null): TrustRecord {
  const { env, digest: policies, roster } = loaded
  return {
    env,
    policies,
    roster: roster === null ? null : { epoch: roster.epoch, digest: roster.digest },
    sequence: (before?.sequence ?? 0) + 1,
  }
}

/** In which parts a policy set, with its officers, is another than the one in force; none: it is that. */
export function differences(
  record: TrustRecord,
  { env, digest: policies, roster }: Loaded,
): ('env' | 'policies' | 'roster')[] {
  const sameRoster =
    roster === null || record.roster === null
      ? roster === record.roster
      : roster.epoch === record.roster.epoch && isSame(roster.digest, record.roster.digest)
  return [
    ...(record.env === env ? [] : (['env'] as const)),
    ...(isSame(record.policies, policies) ? [] : (['policies'] as const)),
    ...(sameRoster ? [] : (['roster'] as const)),
  ]
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

function decodeOrNull(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch {
    return null
  }
}

function whereOf({ issues }: z.ZodError): string {
  const [issue] = issues
  if (issue === undefined || issue.code === 'unrecognized_keys') return 'it has other fields'
  return `${issue.path.map(String).join('.') || 'it'} is not what it must be`
}

function malformed(reason: string): TrustError {
  return new TrustError('malformed', `not a trust record: ${reason}`)
}
