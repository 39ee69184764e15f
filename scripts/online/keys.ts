import { parseArgs } from 'node:util'
import { readEnv, toConfig } from '../../src/config.ts'
import { keysDir, openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { openPolicies } from '../../src/development.ts'
import { createFileKey } from '../../src/signer/file.ts'
import { UsageError, print, printJson } from './command.ts'
import type { Command } from './command.ts'
import { importKey } from './keys-import.ts'

const usage =
  'keys list | keys create ID [--curve K-256|P-256] | keys import ID --from FILE|- [--curve K-256|P-256] [--json]'

export const keys: Command = async ([verb, ...args]) => {
  switch (verb) {
    case 'list':
      return await list(args)
    case 'create':
      return await create(args)
    case 'import':
      return await importKey(args, async () => {
        const { config, sealer } = await open()
        return { dir: keysDir(config), sealer }
      })
    default:
      throw new UsageError(usage)
  }
}

async function list(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean' } } })
  const { config, sealer } = await open()
  const { policies } = await openPolicies(config, sealer)
  if (values.json === true) printJson(policies.keys)
  else {
    for (const key of policies.keys) {
      const marks = `${key.development ? ' (development)' : ''}${key.exposed === true ? ' (exposed)' : ''}`
      print(`${key.id}  ${key.class}  ${key.curve}  ${key.uri ?? 'offline'}  ${key.did}${marks}`)
    }
  }
  return 0
}

/** Makes the key only. It signs nothing until a reviewed line in keys.yaml pins it. */
async function create(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { curve: { type: 'string', default: 'K-256' }, json: { type: 'boolean' } },
  })
  const [id, extra] = positionals
  const { curve } = values
  if (id === undefined || extra !== undefined || (curve !== 'K-256' && curve !== 'P-256')) {
    throw new UsageError(usage)
  }
  const { config, sealer } = await open()
  const did = await createFileKey({ dir: keysDir(config), sealer }, id, curve)
  if (did === null) {
    process.stderr.write(`a key file:${id} is there already; choose another name\n`)
    return 1
  }
  if (values.json === true) printJson({ id, curve, did, uri: `file:${id}` })
  else {
    print(
      `Made file:${id}. Back up the data directory and the secret before anything is signed with it.`,
    )
    print(
      'To put it in force, add to keys.yaml, and its id to a caller in callers.yaml, and restart:',
    )
    print(`  - { id: ${id}, class: online, curve: ${curve}, did: "${did}", uri: "file:${id}" }`)
  }
  return 0
}

async function open() {
  const config = toConfig(readEnv(process.env), process.cwd())
  await prepareDataDir(config)
  return { config, sealer: await openSealer(config) }
}
