import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { secretPath } from '../../../src/config.ts'
import { keysDir } from '../../../src/data-dir.ts'
import {
  createFileBackend,
  createFileKey,
  importFileKey,
  proveFileKey,
  readFileKeyDid,
} from '../../../src/signer/file.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import type { Ground } from './open.ts'
import type { PlaceKind } from './place-kind.ts'

/** Sealed files in the data directory. */
export const filePlace: PlaceKind = {
  scheme: 'file',
  option: null,
  create: async (ground, _uri, { name, curve }) => {
    const did = await createFileKey(filesOf(ground), name, curve)
    return did === null ? { there: `file:${name}` } : { did, uri: `file:${name}` }
  },
  import: async (ground, _uri, { name, curve, secret }) => {
    const key = await importFileKey(filesOf(ground), name, { curve, secret })
    const uri = `file:${key.name}`
    return key.kind === 'there' ? { there: uri } : { did: key.did, uri }
  },
  list: async (ground) => {
    const files = filesOf(ground)
    const names = (await readdir(files.dir))
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
    return await Promise.all(
      names.map(async (name) => ({
        name,
        uri: `file:${name}`,
        did: await readFileKeyDid(files, name),
      })),
    )
  },
  prove: async (ground, { curve, did }, uri, challenge) =>
    await proveFileKey(filesOf(ground), { name: uri.slice('file:'.length), curve, did }, challenge),
  look: async (ground, key, uri) => (await faultOf(ground, key, uri)) ?? 'ready',
  check: async (ground, key, uri) => {
    const fault = await faultOf(ground, key, uri)
    if (fault !== null) return { problems: [fault], remarks: [], readers: [] }
    const file = join(keysDir(ground.config), `${uri.slice('file:'.length)}.json`)
    const guards = await Promise.all([file, secretPath(ground.config)].map(describeAccess))
    return {
      problems: guards.flatMap(({ problem }) => problem ?? []),
      remarks: [
        'a software key: whoever has the file and the secret has it, and so has this host’s memory',
      ],
      readers: guards.map(({ reader }) => reader),
    }
  },
}

const filesOf = ({ config, sealer }: Ground) => ({ dir: keysDir(config), sealer })

/** Opening it computes its did:key anew, which proves that the private half is there. */
async function faultOf(ground: Ground, key: KeyConfig, uri: string): Promise<string | null> {
  try {
    await createFileBackend(filesOf(ground)).openSigner(key, uri)
    return null
  } catch (error) {
    if (!(error instanceof SignerError)) throw error
    return error.message
  }
}

/** Who may read a file, by its owner and mode. */
export async function describeAccess(
  path: string,
): Promise<{ readonly reader: string; readonly problem: string | null }> {
  const found = await stat(path).catch(() => null)
  if (found === null) return { reader: `${path}: not there`, problem: `${path} is not there` }
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0')
  const isOpen = (found.mode & 0o077) !== 0
  return {
    reader: `${path}: uid ${found.uid}, mode ${mode}${isOpen ? ', and others' : ''}, and root`,
    problem: isOpen ? `${path} can be read by others; run: chmod 600 ${path}` : null,
  }
}
