import { open } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Curve } from '../../src/plc/did-key.ts'
import { importFileKey } from '../../src/signer/file.ts'
import type { KeyFiles } from '../../src/signer/file.ts'
import { MAX_HEX_BYTES, parsePrivateKeyHex } from '../../src/signer/hex-key.ts'
import { SignerError } from '../../src/signer/signer.ts'
import { UsageError, print, printJson } from './command.ts'

const usage = 'keys import ID --from FILE|- [--curve K-256|P-256] [--json]'

/**
 * Seals the key that a PDS holds today. It comes from a file or standard input: an argument would be
 * in the list of processes and in the shell's history. No message repeats what was given, for it
 * could be the key, in the wrong place.
 */
export async function importKey(
  args: string[],
  openFiles: () => Promise<KeyFiles>,
): Promise<number> {
  const { id, from, curve, json } = parse(args)
  const secret = await readSecret(from, curve)
  if (secret === null) return 1
  try {
    const key = await importFileKey(await openFiles(), id, { curve, secret })
    if (key.kind === 'there')
      return refuse(`file:${key.name} is there already; nothing was written`)
    const uri = `file:${id}`
    if (json) printJson({ id, curve, did: key.did, uri, exposed: true })
    else tell({ id, curve, did: key.did, uri })
    return 0
  } finally {
    secret.fill(0)
  }
}

function tell({ id, curve, did, uri }: { id: string; curve: Curve; did: string; uri: string }) {
  print(`Imported ${uri}. Back up the data directory and the secret before it signs anything.`)
  print(
    'To put it in force, add to keys.yaml, and its id to a caller in callers.yaml, and restart:',
  )
  print(
    `  - { id: ${id}, class: online, curve: ${curve}, did: "${did}", uri: "${uri}", exposed: true }`,
  )
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

function parse(args: string[]): { id: string; from: string; curve: Curve; json: boolean } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      from: { type: 'string' },
      curve: { type: 'string', default: 'K-256' },
      json: { type: 'boolean', default: false },
    },
  })
  const [id, extra] = positionals
  const { from, curve, json } = values
  if (id === undefined || extra !== undefined || from === undefined) throw new UsageError(usage)
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(id))
    throw new UsageError(`${usage}\nID: use a-z, 0-9 and -`)
  if (curve !== 'K-256' && curve !== 'P-256') throw new UsageError(usage)
  return { id, from, curve, json }
}

function refuse(message: string): number {
  process.stderr.write(`${message}\n`)
  return 1
}
