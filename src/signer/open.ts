import type { KeyConfig } from '../policy/policy-set.ts'
import { openFileSigner } from './file.ts'
import type { KeyFiles } from './file.ts'
import { SignerError } from './signer.ts'
import type { Signer } from './signer.ts'

/**
 * The backend that a key's URI names, opened and proven to hold the pinned key.
 * @throws SignerError `key-unusable`
 */
export async function openSigner(key: KeyConfig, files: KeyFiles): Promise<Signer> {
  const match = /^file:([a-z0-9-]+)$/.exec(key.uri ?? '')
  if (match === null) {
    throw new SignerError(
      'key-unusable',
      `keys.yaml: key ${key.id}: uri ${JSON.stringify(key.uri)} names no backend of this version; write file:NAME`,
    )
  }
  return await openFileSigner(files, { name: match[1] ?? '', curve: key.curve, did: key.did })
}
