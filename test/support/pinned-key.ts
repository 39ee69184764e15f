import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../src/config.ts'
import { keysDir, openSealer } from '../../src/data-dir.ts'
import { developmentKey, withItem } from '../../src/development.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import type { KeyFiles } from '../../src/signer/file.ts'

export type KeyEntry = Pick<KeyConfig, 'did'> & Partial<KeyConfig>

/** Puts another key behind the id of the development key, in `keys.yaml`. */
export async function replaceKey(
  config: Config,
  makeKey: (files: KeyFiles) => Promise<KeyEntry>,
): Promise<void> {
  const key = await makeKey({ dir: keysDir(config), sealer: await openSealer(config) })
  const path = join(config.dataDir, 'policies', 'keys.yaml')
  const empty = 'keys: holdfast/keys/v1\nlist: []\n'
  const entry = { id: developmentKey, class: 'online', curve: 'K-256', ...key }
  await writeFile(path, withItem(empty, entry))
}
