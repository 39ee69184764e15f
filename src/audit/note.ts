import { hash } from 'node:crypto'
import { quoteText } from '../plc/text.ts'
import { AuditError } from './error.ts'

/** C2SP signed-note: the types that are known here. A cosignature is a witness's, with its time. */
export const ED25519 = 0x01
export const COSIGNATURE = 0x04

/** `id` is the first four bytes, big-endian, of SHA-256(name, newline, type, public key). */
export type NoteKey = {
  readonly name: string
  readonly id: number
  readonly type: typeof ED25519 | typeof COSIGNATURE
  /** 32 bytes, RFC 8032. */
  readonly publicKey: Uint8Array
}

/** The bare primitive: pure Ed25519 over the message. */
export type Ed25519Verify = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean

/** One line below the text. `payload` is what stands behind the key id. */
export type NoteSignature = {
  readonly name: string
  readonly id: number
  readonly payload: Uint8Array
}

/** The two halves of a note; nothing is verified. */
export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] }

/** A signature that verified. `time`: Unix seconds, of a cosignature only. */
export type VerifiedNoteSignature = { readonly key: NoteKey; readonly time: number | null }

export const MAX_NOTE_BYTES = 100_000
const MAX_SIGNATURES = 64
const SIGNATURE_BYTES = 64
const KEY_BYTES = 32

const LINE = /^— ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/
// Unicode's spaces, and the plus that separates the parts of a vkey.
const NAME = /^[^\p{White_Space}+]{1,256}$/u
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/

/** @throws AuditError `malformed` for a name with a space or plus, or a key that is not 32 bytes */
export function noteKey(name: string, type: NoteKey['type'], publicKey: Uint8Array): NoteKey {
  if (!NAME.test(name)) throw malformed(`no name of a key: ${quoteText(name)}`)
  if (publicKey.length !== KEY_BYTES) throw malformed('an Ed25519 key has 32 bytes')
  const digest = hash(
    'sha256',
    Buffer.concat([Buffer.from(`${name}\n`), typed(type, publicKey)]),
    'buffer',
  )
  return { name, id: digest.readUInt32BE(0), type, publicKey: new Uint8Array(publicKey) }
}

/** `<name>+<hex id>+<base64 of type and key>`, as the Go tools write it. */
export function formatVkey({ name, id, type, publicKey }: NoteKey): string {
  return `${name}+${hexId(id)}+${typed(type, publicKey).toString('base64')}`
}

/** @throws AuditError `malformed` when a part does not fit the others, or the type is not known here */
export function parseVkey(text: string): NoteKey {
  const [name = '', id = '', encoded = '', ...rest] = splitVkey(text)
  const bytes = decodeBase64(encoded)
  const type = bytes?.[0]
  if (rest.length > 0 || bytes === null || (type !== ED25519 && type !== COSIGNATURE)) {
    throw malformed(`no vkey of Ed25519: ${quoteText(text)}`)
  }
  const key = noteKey(name, type, bytes.subarray(1))
  if (hexId(key.id) !== id) throw malformed(`the id in a vkey is not its key's: ${quoteText(text)}`)
  return key
}

/**
 * Reads a note without believing it. The text is separated from the signatures by its last empty line.
 * @throws AuditError `malformed`, `too-large`
 */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > MAX_NOTE_BYTES)
    throw new AuditError('too-large', `a note of ${bytes.length} bytes`)
  const note = decodeText(bytes)
  const end = note.lastIndexOf('\n\n')
  if (end === -1 || !note.endsWith('\n'))
    throw malformed('a note is text, an empty line, signatures')
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES)
    throw new AuditError('too-large', `a note with ${lines.length} signatures`)
  return { text: note.slice(0, end + 1), signatures: lines.map(parseLine) }
}

/** @param text ends in a newline @throws AuditError `malformed` */
export function formatNote(text: string, signatures: readonly NoteSignature[]): string {
  if (!text.endsWith('\n') || CONTROL.test(text) || !text.isWellFormed()) {
    throw malformed('the text of a note is lines without control characters')
  }
  return `${text}\n${signatures.map(formatLine).join('')}`
}

export function signNote(
  text: string,
  key: NoteKey,
  sign: (message: Uint8Array) => Uint8Array,
): NoteSignature {
  return { name: key.name, id: key.id, payload: sign(Buffer.from(text)) }
}

/**
 * Which of these keys signed. Signatures of other keys are passed over, also those that share a name or
 * an id with one of these; one that names a key here and fails rejects the whole note.
 * @throws AuditError `bad-signature`; `untrusted` when none of the keys has signed
 */
export function verifyNote(
  note: Note,
  keys: readonly NoteKey[],
  verify: Ed25519Verify,
): VerifiedNoteSignature[] {
  const verified = note.signatures.flatMap((signature): VerifiedNoteSignature[] => {
    const key = keys.find(({ name, id }) => name === signature.name && id === signature.id)
    return key === undefined
      ? []
      : [{ key, time: checkSignature(note.text, key, signature, verify) }]
  })
  if (verified.length === 0) throw new AuditError('untrusted', 'no known key has signed the note')
  return verified
}

/** @returns the time of a cosignature, null for a plain one */
function checkSignature(
  text: string,
  key: NoteKey,
  { payload }: NoteSignature,
  verify: Ed25519Verify,
): number | null {
  const time = key.type === COSIGNATURE ? timeOf(payload) : null
  const message = time === null ? text : `cosignature/v1\ntime ${time}\n${text}`
  const signature = time === null ? payload : payload.subarray(8)
  if (
    signature.length === SIGNATURE_BYTES &&
    verify(key.publicKey, Buffer.from(message), signature)
  ) {
    return time
  }
  throw new AuditError('bad-signature', `the signature of ${quoteText(key.name)} does not verify`)
}

/** The eight bytes before a cosignature: Unix seconds, big-endian. */
function timeOf(payload: Uint8Array): number {
  const view = Buffer.from(payload)
  const time = view.length < 8 ? -1 : view.readUInt32BE(0) * 2 ** 32 + view.readUInt32BE(4)
  if (Number.isSafeInteger(time) && time >= 0) return time
  throw new AuditError('bad-signature', 'a cosignature has no time')
}

function parseLine(line: string): NoteSignature {
  const [, name = '', encoded = ''] = LINE.exec(line) ?? []
  const bytes = decodeBase64(encoded)
  if (!NAME.test(name) || bytes === null || bytes.length < 5) {
    throw malformed(`no signature line of a note: ${quoteText(line)}`)
  }
  return { name, id: bytes.readUInt32BE(0), payload: new Uint8Array(bytes.subarray(4)) }
}

function formatLine({ name, id, payload }: NoteSignature): string {
  const bytes = Buffer.alloc(4 + payload.length)
  bytes.writeUInt32BE(id, 0)
  bytes.set(payload, 4)
  return `— ${name} ${bytes.toString('base64')}\n`
}

function decodeText(bytes: Uint8Array): string {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new AuditError('malformed', 'a note is UTF-8', { cause })
  }
  if (CONTROL.test(text)) throw malformed('a note has no control characters')
  return text
}

/** Base64 itself may hold a plus. */
function splitVkey(text: string): string[] {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  if (first === -1 || second === -1) return []
  return [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)]
}

/** Standard base64, padded, in its one spelling; null for anything else. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : null
}

function typed(type: number, publicKey: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type), publicKey])
}

function hexId(id: number): string {
  return id.toString(16).padStart(8, '0')
}

function malformed(message: string): AuditError {
  return new AuditError('malformed', message)
}
