import { hash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { actClasses } from '../policy/policy-set.ts'
import { roles } from '../policy/roster.ts'
import { ApprovalError } from './error.ts'

/**
 * Domain of every approval. The preimage begins with its 0x68, a PLC operation with the header of a
 * CBOR map (0xa0 to 0xbf): no signature over the one can be taken for one over the other.
 */
export const APPROVAL_DOMAIN = 'holdfast/approval/v1'
export const MAX_STATEMENT_BYTES = 16_384

const digest = bytesOf(32)
const text = z.string().min(1).max(256)
/** Unix seconds. */
const time = z.int().min(0).max(99_999_999_999)

const schema = z.strictObject({
  /** The service that asks: its environment, and the origin under which people reach it. */
  env: z.enum(['dev', 'prod', 'rehearsal']),
  audience: text,
  subject: z.enum(['op', ...actClasses]),
  /** SHA-256 of the exact bytes of what is approved. */
  request: digest,
  /** The did:key that will sign, and the head that it follows; null where there is none. */
  key: text.nullable(),
  head: text.nullable(),
  /** CIDs of the operations that it takes out of history; none for one that only adds. */
  nullifies: z.array(text).max(128),
  decision: z.enum(['approve', 'reject']),
  person: text,
  credential: z.string().min(1).max(1364),
  role: z.enum(roles),
  /** Who asked: `caller:NAME` or `person:ID`. */
  requester: text,
  roster: z.strictObject({ epoch: z.int().min(1), digest }),
  policy: z.strictObject({ rules: z.array(text).max(64), digest }),
  /** From when it counts: the moment of its signing. */
  notBefore: time,
  /** The last moments of approving, and of signing at the latest. */
  approveBy: time,
  executeBy: time,
  nonce: bytesOf(16),
  /** SHA-256 of the text that the officer was shown. */
  display: digest,
})

/** What an officer signs. Every field is always there. */
export type Statement = z.infer<typeof schema>

/** Canonical DAG-CBOR. @throws ApprovalError `malformed` */
export function encodeStatement(statement: Statement): Uint8Array {
  const parsed = schema.safeParse(statement)
  if (!parsed.success) throw malformed(whereOf(parsed.error))
  const bytes = new Uint8Array(dagCbor.encode(parsed.data))
  if (bytes.length > MAX_STATEMENT_BYTES) throw malformed('it is too large')
  return bytes
}

/** The strict way in: these bytes are the one encoding of what they say. @throws ApprovalError `malformed` */
export function decodeStatement(bytes: Uint8Array): Statement {
  if (bytes.length > MAX_STATEMENT_BYTES) throw malformed('it is too large')
  const parsed = schema.safeParse(decode(bytes))
  if (!parsed.success) throw malformed(whereOf(parsed.error))
  if (Buffer.compare(encodeStatement(parsed.data), bytes) !== 0) {
    throw malformed('its bytes are not canonical')
  }
  return parsed.data
}

/** P: what a did:key signs, and whose SHA-256 is the challenge of a passkey. */
export function preimageOf(statement: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([Buffer.from(`${APPROVAL_DOMAIN}\0`, 'latin1'), statement]))
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}

function bytesOf(length: number) {
  return z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length === length,
    `must be ${length} bytes`,
  )
}

function decode(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch (cause) {
    throw new ApprovalError('malformed', 'the statement is not DAG-CBOR', { cause })
  }
}

/** Names our field, never what stands in it. */
function whereOf({ issues }: z.ZodError): string {
  const [issue] = issues
  if (issue === undefined || issue.code === 'unrecognized_keys') return 'it has other fields'
  return `${issue.path.join('.') || 'it'} is not what it must be`
}

function malformed(reason: string): ApprovalError {
  return new ApprovalError('malformed', `not a statement of an approval: ${reason}`)
}
