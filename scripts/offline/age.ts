import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'

/** Above anything that is sealed here. */
const MAX_SEALED_BYTES = 64 * 1024

/** `identity`: it is not for this identity, or the passphrase is another. `damaged`: no age file any more. */
export class AgeError extends Error {
  override readonly name = 'AgeError'
  readonly reason: 'identity' | 'damaged'

  constructor(reason: 'identity' | 'damaged', cause: unknown) {
    super(reason === 'identity' ? 'not sealed to this identity' : 'not an age file, or damaged', {
      cause,
    })
    this.reason = reason
  }
}

/** @param recipient `age1…`, X25519 */
export async function sealTo(recipient: string, content: Uint8Array): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  return await readAll(await encrypter.encrypt(streamOf(content)))
}

/** @param identity `AGE-SECRET-KEY-1…` @throws AgeError */
export async function openWith(identity: string, sealed: Uint8Array): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  return await decrypt(decrypter, sealed)
}

/** scrypt at age's own work factor: about a second and 256 MB a try, here and for whoever guesses. */
export async function sealWithPassphrase(
  passphrase: string,
  content: Uint8Array,
): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  encrypter.setPassphrase(passphrase)
  return await readAll(await encrypter.encrypt(streamOf(content)))
}

/** @throws AgeError */
export async function openWithPassphrase(
  passphrase: string,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  decrypter.addPassphrase(passphrase)
  return await decrypt(decrypter, sealed)
}

export async function newIdentity(): Promise<{ identity: string; recipient: string }> {
  const identity = await generateX25519Identity()
  return { identity, recipient: await identityToRecipient(identity) }
}

export function isAgeFile(content: Uint8Array): boolean {
  return Buffer.from(content.subarray(0, 22)).toString('latin1') === 'age-encryption.org/v1\n'
}

async function decrypt(decrypter: Decrypter, sealed: Uint8Array): Promise<Uint8Array> {
  if (sealed.length > MAX_SEALED_BYTES) throw new AgeError('damaged', new Error('too long'))
  try {
    return await readAll(await decrypter.decrypt(streamOf(sealed)))
  } catch (cause) {
    // The library has one class of error and this one text for a key that does not fit.
    const isForeign = cause instanceof Error && cause.message.startsWith('no identity matched')
    throw new AgeError(isForeign ? 'identity' : 'damaged', cause)
  }
}

// Whole buffers the library turns into streams and back with `Response`, for which Node loads its HTTP
// client. Nothing of that belongs here.
function streamOf(content: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      controller.enqueue(Uint8Array.from(content))
      controller.close()
    },
  })
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
  }
  const content = Uint8Array.from(Buffer.concat(chunks))
  for (const chunk of chunks) chunk.fill(0)
  return content
}
