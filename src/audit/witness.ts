import { AuditError } from './error.ts'
import { parseNote, verifyNote } from './note.ts'
import type { Ed25519Verify, NoteKey, NoteSignature } from './note.ts'

/** C2SP tlog-witness: what a log asks of a witness, and what it answers. */
export type WitnessAnswer =
  | { readonly kind: 'cosigned'; readonly signature: NoteSignature }
  /** It knows the log at another size than it was told (409). */
  | { readonly kind: 'knows'; readonly size: number }
  /** It has cosigned a log of which this one is no continuation (422). */
  | { readonly kind: 'inconsistent' }
  /** Anything else: an unknown log, a key that it does not trust, a failure of its own. */
  | { readonly kind: 'refused'; readonly why: string }

/** No tree of 2^53 entries has a longer proof. */
const MAX_PROOF = 63
export const MAX_ANSWER_BYTES = 16_384

/**
 * The body of `add-checkpoint`.
 * @param asked.old the size up to which the witness knows the log; 0: it knows none, and takes no proof
 */
export function addCheckpointBody(asked: {
  readonly old: number
  readonly proof: readonly Uint8Array[]
  readonly note: string
}): string {
  const { old, proof, note } = asked
  if (proof.length > MAX_PROOF) throw new RangeError(`a proof of ${proof.length} hashes`)
  const hashes = proof.map((hash) => `${Buffer.from(hash).toString('base64')}\n`)
  return `old ${old}\n${hashes.join('')}\n${note}`
}

/**
 * What came back, believed as far as the witness's own key proves it: other lines are dropped.
 * @param asked.text of the checkpoint that was sent
 */
export function readWitnessAnswer(
  { status, body }: { readonly status: number; readonly body: string },
  asked: { readonly text: string; readonly witness: NoteKey; readonly verify: Ed25519Verify },
): WitnessAnswer {
  switch (status) {
    case 200:
      return cosignatureIn(body, asked)
    case 409:
      return knownSize(body)
    case 422:
      return { kind: 'inconsistent' }
    default:
      return { kind: 'refused', why: `it answered ${status}` }
  }
}

function cosignatureIn(
  lines: string,
  { text, witness, verify }: Parameters<typeof readWitnessAnswer>[1],
): WitnessAnswer {
  try {
    const note = parseNote(Buffer.from(`${text}\n${lines}`))
    // Lines that it sent with another text in between would be signatures of that one.
    if (note.text !== text) return { kind: 'refused', why: 'its answer is no cosignature' }
    verifyNote(note, [witness], verify)
    const own = note.signatures.find(({ name, id }) => name === witness.name && id === witness.id)
    return own === undefined
      ? { kind: 'refused', why: 'its answer is no cosignature' }
      : { kind: 'cosigned', signature: own }
  } catch (error) {
    if (!(error instanceof AuditError)) throw error
    return { kind: 'refused', why: 'its cosignature does not verify with its key' }
  }
}

function knownSize(body: string): WitnessAnswer {
  const digits = /^(0|[1-9][0-9]{0,15})\n?$/.exec(body)?.[1]
  const size = Number(digits)
  return Number.isSafeInteger(size)
    ? { kind: 'knows', size }
    : { kind: 'refused', why: 'it names no size with its 409' }
}

/** How many different witnesses have cosigned: by their keys, whatever they are called. */
export function countWitnesses(cosignatures: readonly { readonly key: NoteKey }[]): number {
  return new Set(cosignatures.map(({ key }) => Buffer.from(key.publicKey).toString('hex'))).size
}
