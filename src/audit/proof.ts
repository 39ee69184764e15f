import { quoteText } from '../plc/text.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { VerifiedCheckpoint } from './checkpoint.ts'
import { AuditError } from './error.ts'
import { HASH_BYTES, hashLeaf, verifyInclusion } from './merkle.ts'
import { decodeBase64, MAX_NOTE_BYTES } from './note.ts'
import type { Ed25519Verify, NoteKey } from './note.ts'

/** C2SP tlog-proof: that an entry is in the log of a checkpoint, in one text for whoever keeps it. */
export type LogProof = {
  /** Whatever the application wants to send along; nobody vouches for it. null: no such line. */
  readonly extra: Uint8Array | null
  readonly index: number
  /** From the leaf's sibling up. */
  readonly hashes: readonly Uint8Array[]
  /** The signed note as it is. */
  readonly checkpoint: string
}

const HEADER = 'c2sp.org/tlog-proof@v1'
const INDEX = /^index (0|[1-9][0-9]{0,15})$/
const EXTRA = /^extra (.*)$/
/** No tree of 2^53 entries has a longer path. */
const MAX_HASHES = 53
const MAX_BYTES = MAX_NOTE_BYTES + 200_000

export function formatProof({ extra, index, hashes, checkpoint }: LogProof): string {
  return [
    HEADER,
    ...(extra === null ? [] : [`extra ${base64(extra)}`]),
    `index ${index}`,
    ...hashes.map(base64),
    '',
    checkpoint,
  ].join('\n')
}

/** @throws AuditError `malformed`, `too-large` */
export function parseProof(bytes: Uint8Array): LogProof {
  if (bytes.length > MAX_BYTES)
    throw new AuditError('too-large', `a proof of ${bytes.length} bytes`)
  const text = Buffer.from(bytes).toString('utf8')
  const end = text.indexOf('\n\n')
  const [header, ...lines] = end === -1 ? [] : text.slice(0, end).split('\n')
  if (header !== HEADER) throw malformed(`a proof begins with ${HEADER}`)
  const extra = EXTRA.exec(lines[0] ?? '')?.[1]
  if (extra !== undefined) lines.shift()
  const index = Number(INDEX.exec(lines.shift() ?? '')?.[1])
  if (!Number.isSafeInteger(index)) throw malformed('a proof has a line with its index')
  if (lines.length > MAX_HASHES) throw malformed(`a proof of ${lines.length} hashes`)
  return {
    extra: extra === undefined ? null : decoded(extra),
    index,
    hashes: lines.map(hashOf),
    checkpoint: text.slice(end + 2),
  }
}

/**
 * That these exact bytes are an entry of the log.
 * @returns the checkpoint that they are proven under
 * @throws AuditError `untrusted`, `bad-signature`, `malformed` as of a checkpoint; `malformed` when the
 * path does not lead from the entry to the root
 */
export function verifyProof(
  proof: LogProof,
  entry: Uint8Array,
  trust: { readonly keys: readonly NoteKey[]; readonly verify: Ed25519Verify },
): VerifiedCheckpoint {
  const checkpoint = openCheckpoint(Buffer.from(proof.checkpoint), trust.keys, trust.verify)
  const { size, root } = checkpoint
  const leaf = hashLeaf(entry)
  if (!verifyInclusion({ index: proof.index, size, leaf, proof: proof.hashes, root })) {
    throw malformed(`the proof does not lead from the entry to the root of ${size} entries`)
  }
  return checkpoint
}

function hashOf(line: string): Uint8Array {
  const bytes = decoded(line)
  if (bytes.length !== HASH_BYTES) throw malformed('a hash of a proof is 32 bytes')
  return bytes
}

function decoded(text: string): Uint8Array {
  const bytes = decodeBase64(text)
  if (bytes === null) throw malformed(`no base64: ${quoteText(text)}`)
  return new Uint8Array(bytes)
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function malformed(message: string): AuditError {
  return new AuditError('malformed', message)
}
