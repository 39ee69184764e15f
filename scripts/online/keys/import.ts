import { open } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Curve } from '../../../src/plc/did-key.ts'
import { nameOfHome } from '../../../src/signer/backends.ts'
import { MAX_HEX_BYTES, parsePrivateKeyHex } from '../../../src/signer/hex-key.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import { recordKey } from '../../../src/store/key-record.ts'
import { UsageError, print, printJson } from '../command.ts'
import { backUp, parseId, refuseTaken, tellHowToPin } from './create.ts'
import { withRecord } from './open.ts'
import { placeOf, placeOptions, placeUsage } from './place.ts'
import type { MadeKey } from './place-kind.ts'

const usage = `keys import ID --from FILE|- [--curve K-256|P-256] [${placeUsage}] [--json]`

/**
 * Takes in the key that a PDS holds today. It comes from a file or standard input: an argument would be
 * in the list of processes and in the shell's history. No message repeats what was given, for it
 * could be the key, in the wrong place.
 */
export async function importKey(args: string[]): Promise<number> {
  const { id, from, curve, json, place } = parse(args)
  const secret = await readSecret(from, curve)
  if (secret === null) return 1
  try {
    return await withRecord(async (ground) => {
      const made = await place.kind.import(ground, place.uri, { name: id, curve, secret })
      if ('there' in made) return refuseTaken(made)
      const home = nameOfHome(made.uri)
      await recordKey(ground.db, { kind: 'key.imported', key: id, keyDid: made.did, home })
      if (json) printJson({ id, curve, ...made, exposed: true })
      else tell({ name: id, curve, ...made })
      return 0
    })
  } finally {
    secret.fill(0)
  }
}

function tell(key: MadeKey & { name: string; curve: Curve }): void {
  print(`Imported ${nameOfHome(key.uri)}. ${backUp(key)} before it signs anything.`)
  tellHowToPin(key, ', exposed: true')
  print(
    'Whoever has seen the key can still sign with it; every start says so until it is replaced.',
  )
}

async function readSecret(from: string, curve: Curve): Promise<Buffer | null> {
  const text = await readText(from)
  try {
    return parsePrivateKeyHex(text, curve)
  } catch (error) {
    if (!(error instanceof SignerError)) throw error
    refuse(error.message)
    return null
  } finally {
    text.fill(0)
  }
}

/** A byte more than fits is enough to see that it is no key. */
async function readText(from: string): Promise<Buffer> {
  const text = Buffer.alloc(MAX_HEX_BYTES + 1)
  let length = 0
  try {
    const file = from === '-' ? process.stdin : (await open(from)).createReadStream()
    for await (const chunk of file as AsyncIterable<Buffer>) {
      length += chunk.copy(text, length)
      chunk.fill(0)
      if (length === text.length) break
    }
  } catch {
    throw new UsageError(`${usage}\nthe file that --from names cannot be read`)
  }
  return text.subarray(0, length)
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...placeOptions,
      from: { type: 'string' },
      curve: { type: 'string', default: 'K-256' },
      json: { type: 'boolean', default: false },
    },
  })
  const [id, extra] = positionals
  const { from, curve, json } = values
  if (extra !== undefined || typeof from !== 'string') throw new UsageError(usage)
  if (curve !== 'K-256' && curve !== 'P-256') throw new UsageError(usage)
  return { id: parseId(id, usage), from, curve, json, place: placeOf(values, usage) } as const
}

function refuse(message: string): number {
  process.stderr.write(`${message}\n`)
  return 1
}
