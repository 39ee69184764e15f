import { quoteText } from '../plc/text.ts'
import type { Proof } from '../plc/proof.ts'
import { AuditError } from './error.ts'
import { HASH_BYTES } from './merkle.ts'
import {
  COSIGNATURE,
  decodeBase64,
  ED25519,
  formatNote,
  parseNote,
  signNote,
  verifyNote,
} from './note.ts'
import type { Ed25519Verify, NoteKey, VerifiedNoteSignature } from './note.ts'

/** C2SP tlog-checkpoint: a tree's size and root, under the name of its log. */
export type Checkpoint = {
  readonly origin: string
  readonly size: number
  /** 32 bytes. */
  readonly root: Uint8Array
}

type Opened = Checkpoint & {
  /** `time`: Unix seconds, of the witness's own clock. */
  readonly cosignatures: readonly { readonly key: NoteKey; readonly time: number }[]
}

/** Signed by the key of its log; `cosignatures` are those of the witnesses that were asked for. */
export type VerifiedCheckpoint = Proof<Opened, 'VerifiedCheckpoint'>

/** Uses the checkpoint key. It is never a key that signs operations. */
export type CheckpointSigner = {
  /** Its name is the origin of the log. */
  readonly key: NoteKey
  /** Ed25519, 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

const SIZE = /^(0|[1-9][0-9]{0,15})$/
const MAX_ORIGIN = 256

/** The three lines that are signed; nothing else is ever written there. @throws AuditError `malformed` */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  const text = `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`
  parseCheckpointText(text)
  return text
}

/** Lines of extension are refused: no monitor could judge them. @throws AuditError `malformed` */
export function parseCheckpointText(text: string): Checkpoint {
  const [origin = '', digits = '', encoded = '', end, ...rest] = text.split('\n')
  const root = decodeBase64(encoded)
  const size = Number(digits)
  const hasOrigin = origin !== '' && origin.length <= MAX_ORIGIN
  if (
    !hasOrigin ||
    !SIZE.test(digits) ||
    !Number.isSafeInteger(size) ||
    end !== '' ||
    rest.length > 0
  ) {
    throw malformed(`no three lines of a checkpoint: ${quoteText(text)}`)
  }
  if (root === null || root.length !== HASH_BYTES)
    throw malformed('the root of a checkpoint is 32 bytes in base64')
  return { origin, size, root: new Uint8Array(root) }
}

/**
 * The note of a checkpoint. Whoever calls it has proven that the log of its last one is its beginning.
 * @throws AuditError `malformed` when the key is another log's
 */
export function signCheckpoint(checkpoint: Checkpoint, signer: CheckpointSigner): string {
  if (signer.key.name !== checkpoint.origin || signer.key.type !== ED25519) {
    throw malformed(
      `the key of ${quoteText(signer.key.name)} signs no checkpoint of ${quoteText(checkpoint.origin)}`,
    )
  }
  const text = checkpointText(checkpoint)
  return formatNote(text, [signNote(text, signer.key, (message) => signer.sign(message))])
}

/**
 * @param trusted keys of the log, whose name must be the checkpoint's origin, and of witnesses
 * @throws AuditError `untrusted` without the log's own signature, whatever others have signed;
 * `bad-signature`, `malformed`, `too-large`
 */
export function openCheckpoint(
  note: Uint8Array,
  trusted: readonly NoteKey[],
  verify: Ed25519Verify,
): VerifiedCheckpoint {
  const parsed = parseNote(note)
  const checkpoint = parseCheckpointText(parsed.text)
  const verified = verifyNote(parsed, trusted, verify)
  if (!verified.some(({ key }) => key.type === ED25519 && key.name === checkpoint.origin)) {
    throw new AuditError(
      'untrusted',
      `no key of ${quoteText(checkpoint.origin)} has signed its checkpoint`,
    )
  }
  const opened: Opened = { ...checkpoint, cosignatures: verified.flatMap(cosignatureOf) }
  return opened as VerifiedCheckpoint
}

function cosignatureOf({ key, time }: VerifiedNoteSignature) {
  return key.type === COSIGNATURE && time !== null ? [{ key, time }] : []
}

function malformed(message: string): AuditError {
  return new AuditError('malformed', message)
}
