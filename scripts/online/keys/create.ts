import { parseArgs } from 'node:util'
import type { Curve } from '../../../src/plc/did-key.ts'
import { nameOfHome } from '../../../src/signer/backends.ts'
import { recordKey } from '../../../src/store/key-record.ts'
import { UsageError, print, printJson } from '../command.ts'
import { withRecord } from './open.ts'
import { placeOf, placeOptions, placeUsage } from './place.ts'
import type { Making, MadeKey } from './place-kind.ts'

const usage = `keys create ID [--curve K-256|P-256] [${placeUsage}] [--json]`

/** Makes the key only. It signs nothing until a reviewed line in keys.yaml pins it. */
export async function createKey(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...placeOptions,
      curve: { type: 'string', default: 'K-256' },
      json: { type: 'boolean', default: false },
    },
  })
  const [id, extra] = positionals
  const { curve } = values
  if (extra !== undefined) throw new UsageError(usage)
  if (curve !== 'K-256' && curve !== 'P-256') throw new UsageError(usage)
  const name = parseId(id, usage)
  const { kind, uri } = placeOf(values, usage)
  return await withRecord(async (ground) => {
    const made = await kind.create(ground, uri, { name, curve })
    if ('there' in made) return refuseTaken(made)
    const home = nameOfHome(made.uri)
    await recordKey(ground.db, { kind: 'key.created', key: name, keyDid: made.did, home })
    if (values.json) printJson({ id: name, curve, ...made })
    else tellMade({ name, curve, ...made })
    return 0
  })
}

export function parseId(id: string | undefined, usageLine: string): string {
  if (id === undefined) throw new UsageError(usageLine)
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(id)) {
    throw new UsageError(`${usageLine}\nID: use a-z, 0-9 and -`)
  }
  return id
}

export function refuseTaken({ there }: Extract<Making, { there: string }>): number {
  process.stderr.write(`${there} is there already; nothing was written\n`)
  return 1
}

type Line = MadeKey & { readonly name: string; readonly curve: Curve }

function tellMade(key: Line): void {
  print(`Made ${nameOfHome(key.uri)}. ${backUp(key)} before anything is signed with it.`)
  tellHowToPin(key)
}

export function tellHowToPin({ name, curve, did, uri }: Line, marks = ''): void {
  print(
    'To put it in force, add to keys.yaml, and its id to a caller in callers.yaml, and restart:',
  )
  print(`  - { id: ${name}, class: online, curve: ${curve}, did: "${did}", uri: "${uri}"${marks} }`)
}

export function backUp({ uri }: MadeKey): string {
  return uri.startsWith('file:')
    ? 'Back up the data directory and the secret'
    : 'See that its place has a backup or a second home'
}
