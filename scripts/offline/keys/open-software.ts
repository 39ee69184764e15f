import { combineShares } from '../../../src/ceremony/shares.ts'
import { parseDealing } from '../../../src/ceremony/dealing.ts'
import type { Dealing } from '../../../src/ceremony/dealing.ts'
import type { Environment } from '../../../src/ceremony/env.ts'
import { decodeRecoverySecret } from '../../../src/ceremony/secret-file.ts'
import type { Share } from '../../../src/ceremony/share.ts'
import { openPrivateKey } from '../../../src/ecdsa/private-key.ts'
import { curveOf } from '../../../src/plc/did-key.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { AgeError, openWithPassphrase } from '../age.ts'
import { readBounded, readText, Refusal } from '../command.ts'
import type { Terminal } from '../terminal.ts'
import { readIdentity } from './identity-file.ts'
import { verifyDocument } from './possession.ts'
import { openShareFile, readShareFile } from './share-file.ts'

/** What is asked of the key that comes out; `did` is pinned. */
export type Pinned = { readonly env: Environment; readonly did: string }

/** Where the shares are, and what opens them. */
export type ShareSources = {
  readonly shares: readonly string[]
  readonly identities: readonly string[]
  readonly dealing: string | null
}

const MAX_KEY_FILE_BYTES = 16 * 1024

/**
 * The secret in an encrypted key file, proven to be that of the pinned key.
 * @returns 32 bytes; the caller clears them @throws Refusal
 */
export async function openKeyFile(
  path: string,
  pinned: Pinned,
  terminal: Terminal,
): Promise<Uint8Array> {
  const file = escapeText(path)
  const sealed = await readBounded(path, MAX_KEY_FILE_BYTES)
  const passphrase = await terminal.askSecret(`Passphrase of ${file}`)
  const opened = await openWithPassphrase(passphrase.toString('utf8'), sealed)
    .catch((cause: unknown) => {
      if (!(cause instanceof AgeError)) throw cause
      const why = cause.reason === 'damaged' ? 'is damaged' : 'does not open with this passphrase'
      throw new Refusal(`${file}: ${why}`, { cause })
    })
    .finally(() => passphrase.fill(0))
  const { env, secret } = decodeRecoverySecret(opened, file)
  opened.fill(0)
  if (env !== pinned.env) throw new Refusal(`${file}: is a key for ${env}; this is ${pinned.env}`)
  return await requirePinned(secret, pinned, file)
}

/**
 * The secret from as many shares as are needed.
 * @returns 32 bytes; the caller clears them @throws ShareError, Refusal
 */
export async function openShares(
  sources: ShareSources,
  pinned: Pinned,
  terminal: Terminal,
): Promise<Uint8Array> {
  const dealing = sources.dealing === null ? null : await readDealing(sources.dealing)
  const shares = await readShares(sources, dealing, terminal)
  const curve = curveOf(pinned.did)
  const didOf = async (secret: Uint8Array) => {
    const key = await openPrivateKey(curve, secret)
    key.clear()
    return key.did
  }
  try {
    return await combineShares(shares, { ...pinned, dealing, retired: [], didOf })
  } finally {
    for (const { y } of shares) y.fill(0)
  }
}

/** @throws DocumentError, Refusal */
export async function readDealing(path: string): Promise<Dealing> {
  const file = escapeText(path)
  const dealing = parseDealing(await readText(path), file)
  await verifyDocument(dealing, file)
  return dealing
}

async function readShares(
  { shares, identities }: ShareSources,
  dealing: Dealing | null,
  terminal: Terminal,
): Promise<Share[]> {
  const opened = await readIdentities(identities, terminal)
  const found: Share[] = []
  for (const path of shares) {
    found.push(await openShareFile(await readShareFile(path), opened, dealing))
  }
  return found
}

export async function readIdentities(
  paths: readonly string[],
  terminal: Terminal,
): Promise<string[]> {
  const identities: string[] = []
  for (const path of paths) identities.push(await readIdentity(path, terminal))
  return identities
}

async function requirePinned(secret: Uint8Array, { did }: Pinned, file: string) {
  const key = await openPrivateKey(curveOf(did), secret)
  key.clear()
  if (key.did === did) return secret
  secret.fill(0)
  throw new Refusal(`${file}: holds ${key.did}, but ${did} is pinned`)
}
