import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { z } from 'zod'
import { EcdsaError } from '../ecdsa/error.ts'
import { openPrivateKey } from '../ecdsa/private-key.ts'
import type { PrivateKey } from '../ecdsa/private-key.ts'
import { writeOnce } from '../files/write-once.ts'
import type { Curve } from '../plc/did-key.ts'
import { SealError } from '../sealing/sealer.ts'
import type { Sealer } from '../sealing/sealer.ts'
import type { Backend } from './backend.ts'
import { probeMessage } from './pkcs11/probe.ts'
import { SignerError } from './signer.ts'
import type { Signer } from './signer.ts'

/** Software keys: one sealed file each, `DIR/NAME.json`, 0600. */
export type KeyFiles = { readonly dir: string; readonly sealer: Sealer }

const keyFile = z.strictObject({
  format: z.literal('holdfast/file-key/v1'),
  curve: z.enum(['K-256', 'P-256']),
  did: z.string(),
  sealed: z.base64(),
})

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

/**
 * Makes a key and its file. Never overwrites: a rotation key that is gone takes accounts with it.
 * @returns the did:key to pin in `keys.yaml`; null when a key of that name is there
 */
export async function createFileKey(
  files: KeyFiles,
  name: string,
  curve: Curve,
): Promise<string | null> {
  const keypair =
    curve === 'K-256'
      ? await Secp256k1Keypair.create({ exportable: true })
      : await P256Keypair.create({ exportable: true })
  const did = keypair.did()
  const made = await writeKeyFile(files, name, { curve, did, secret: await keypair.export() })
  return made ? did : null
}

export type ImportedKey =
  | { readonly kind: 'imported'; readonly name: string; readonly did: string }
  /** A key of this name, or this key under another name, is there; nothing was written. */
  | { readonly kind: 'there'; readonly name: string; readonly did: string }

/**
 * Seals a key that was made elsewhere.
 * @param secret 32 bytes, in the range of the curve; the caller clears them
 */
export async function importFileKey(
  files: KeyFiles,
  name: string,
  { curve, secret }: { curve: Curve; secret: Uint8Array },
): Promise<ImportedKey> {
  const did = await didOfSecret(curve, secret)
  for (const there of await readdir(files.dir)) {
    if (!there.endsWith('.json')) continue
    const { did: known } = await readKeyFile(join(files.dir, there))
    if (known === did) return { kind: 'there', name: there.slice(0, -'.json'.length), did }
  }
  const made = await writeKeyFile(files, name, { curve, did, secret })
  return made ? { kind: 'imported', name, did } : { kind: 'there', name, did }
}

async function didOfSecret(curve: Curve, secret: Uint8Array): Promise<string> {
  // The library may keep what it is given, and the caller clears his own.
  const copy = Uint8Array.from(secret)
  try {
    const keypair =
      curve === 'K-256' ? await Secp256k1Keypair.import(copy) : await P256Keypair.import(copy)
    return keypair.did()
  } finally {
    copy.fill(0)
  }
}

async function writeKeyFile(
  files: KeyFiles,
  name: string,
  { curve, did, secret }: { curve: Curve; did: string; secret: Uint8Array },
): Promise<boolean> {
  const sealed = files.sealer.seal('file-key', sealContext(name, curve, did), secret)
  const content = {
    format: 'holdfast/file-key/v1',
    curve,
    did,
    sealed: Buffer.from(sealed).toString('base64'),
  } satisfies z.infer<typeof keyFile>
  return await writeOnce(pathOf(files, name), `${JSON.stringify(content)}\n`)
}

/** Keys in sealed files. Once open they are in this process's memory, and always well. */
export function createFileBackend(files: KeyFiles): Backend {
  return {
    openSigner: async ({ id, curve, did }, uri) => {
      const name = /^file:([a-z0-9-]+)$/.exec(uri)?.[1]
      if (name !== undefined) return await openFileSigner(files, { name, curve, did })
      const written = JSON.stringify(uri)
      throw new SignerError(
        'key-unusable',
        `keys.yaml: key ${id}: uri ${written} is none of a key file; write file:NAME`,
      )
    },
    health: () => [],
    close: async () => {},
  }
}

/**
 * Opens a key and proves that it is the pinned one.
 * @throws SignerError `key-unusable`, saying which file or setting is at fault
 */
export async function openFileSigner(
  files: KeyFiles,
  key: { name: string; curve: Curve; did: string },
): Promise<Signer> {
  const opened = await openPinned(files, key)
  return {
    sign: async (intent) => {
      const signature = await opened.sign(intent.authorized.bytes)
      return { signature, home: null, requestId: null }
    },
    // Opened and compared with its pin at start, it is in this process's memory until the end.
    check: async () => {},
    close: async () => {},
  }
}

/** Signs the probe of a challenge, and nothing else: that the key is here. @throws SignerError */
export async function proveFileKey(
  files: KeyFiles,
  key: { name: string; curve: Curve; did: string },
  challenge: Uint8Array,
): Promise<Uint8Array> {
  const opened = await openPinned(files, key)
  try {
    return await opened.sign(probeMessage(challenge))
  } finally {
    opened.clear()
  }
}

async function openPinned(
  files: KeyFiles,
  key: { name: string; curve: Curve; did: string },
): Promise<PrivateKey> {
  const path = pathOf(files, key.name)
  const secret = unseal(files, path, { ...key, content: await readKeyFile(path) })
  const opened = await openSecret(path, key.curve, secret)
  if (opened.did === key.did) return opened
  opened.clear()
  throw new SignerError(
    'key-unusable',
    `${path} holds ${opened.did}, but keys.yaml pins ${key.did}`,
  )
}

async function openSecret(path: string, curve: Curve, secret: Buffer): Promise<PrivateKey> {
  try {
    return await openPrivateKey(curve, secret)
  } catch (cause) {
    if (!(cause instanceof EcdsaError)) throw cause
    throw new SignerError('key-unusable', `${path}: ${cause.message}`, { cause })
  } finally {
    secret.fill(0)
  }
}

async function readKeyFile(path: string): Promise<z.infer<typeof keyFile>> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new SignerError('key-unusable', `cannot read the key file ${path}`, { cause })
  }
  try {
    return keyFile.parse(JSON.parse(text))
  } catch (cause) {
    throw new SignerError('key-unusable', `${path} is not a key file`, { cause })
  }
}

function unseal(
  { sealer }: KeyFiles,
  path: string,
  key: { name: string; curve: Curve; did: string; content: z.infer<typeof keyFile> },
): Buffer {
  const sealed = Buffer.from(key.content.sealed, 'base64')
  try {
    return sealer.open(
      'file-key',
      sealContext(key.name, key.content.curve, key.content.did),
      sealed,
    )
  } catch (cause) {
    if (!(cause instanceof SealError)) throw cause
    throw new SignerError(
      'key-unusable',
      `${path} does not open: HOLDFAST_SECRET_FILE is not the one it was sealed with, or the file was changed`,
      { cause },
    )
  }
}

function pathOf({ dir }: KeyFiles, name: string): string {
  if (!NAME.test(name)) throw new SignerError('key-unusable', `file:${name}: use a-z, 0-9 and -`)
  return join(dir, `${name}.json`)
}

const sealContext = (name: string, curve: Curve, did: string) => [name, curve, did]

/** The did:key that a key file says it holds; only its opening proves it. */
export async function readFileKeyDid(files: KeyFiles, name: string): Promise<string> {
  return (await readKeyFile(pathOf(files, name))).did
}
