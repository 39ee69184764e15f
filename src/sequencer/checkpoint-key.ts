import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import type { CheckpointSigner } from '../audit/checkpoint.ts'
import { ED25519, noteKey } from '../audit/note.ts'
import { writeOnce } from '../files/write-once.ts'

/** The key of the checkpoints: PKCS#8 in PEM, 0600. The message of a refusal names the file. */
export class CheckpointKeyError extends Error {
  override readonly name = 'CheckpointKeyError'
}

/** @returns false when there is one: it is left as it is */
export async function makeCheckpointKey(path: string): Promise<boolean> {
  const { privateKey } = generateKeyPairSync('ed25519')
  return await writeOnce(path, privateKey.export({ type: 'pkcs8', format: 'pem' }))
}

/** null: there is none. @throws CheckpointKeyError */
export async function openCheckpointKey(path: string): Promise<KeyObject | null> {
  try {
    const { mode } = await stat(path)
    if ((mode & 0o077) !== 0)
      throw new CheckpointKeyError(`${path} can be read by others; run: chmod 600 ${path}`)
    const key = createPrivateKey(await readFile(path))
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch (cause) {
    if (cause instanceof CheckpointKeyError) throw cause
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    throw new CheckpointKeyError(`${path} cannot be read as a checkpoint key`, { cause })
  }
  throw new CheckpointKeyError(`${path} holds no Ed25519 key`)
}

/** Signs the checkpoints of one log. */
export function checkpointSigner(key: KeyObject, origin: string): CheckpointSigner {
  const { x = '' } = createPublicKey(key).export({ format: 'jwk' })
  return {
    key: noteKey(origin, ED25519, Buffer.from(x, 'base64url')),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  }
}
