import { parseArgs } from 'node:util'
import { parseEnvironment, Refusal, UsageError } from './command.ts'
import type { Command } from './command.ts'
import { announce } from './keys/announce.ts'
import { checkKnownAnswers } from './keys/known-answers.ts'
import { makeShares, readSplit } from './keys/make.ts'
import { readDealing } from './keys/open-software.ts'
import { readRecord } from './keys/record.ts'
import { openSecret, sourceOptions, sourcesOf } from './keys/sources.ts'
import { parseThreshold } from './keygen.ts'
import { openTerminal } from './terminal.ts'

export const splitUsage = `split --env prod|rehearsal --record FILE --threshold K --custodians FILE --out FOLDER [--json], and one of
    --key-file FILE                             the key under its passphrase
    --share FILE… --identity FILE… [--dealing FILE]  the shares of an earlier split, which this one retires`

/** Splits an existing key anew: among other custodians, or one that was in a file. */
export const split: Command = async (args) => {
  const { env, record: path, out, threshold, custodians, sources, json } = parse(args)
  await checkKnownAnswers()
  const record = await readRecord(path)
  if (record.env !== env) throw new Refusal(`${path}: is a key for ${record.env}; this is ${env}`)
  const retires = sources.dealing === null ? [] : await retiredBy(sources.dealing, record.did)
  const wanted = await readSplit(threshold, custodians, retires)
  const terminal = openTerminal()
  try {
    const secret = await openSecret(sources, record, terminal)
    try {
      announce(await makeShares(secret, { ...record, out }, wanted), json)
    } finally {
      secret.fill(0)
    }
    return 0
  } finally {
    terminal.close()
  }
}

/** The earlier split, and all that it had retired. */
async function retiredBy(path: string, did: string): Promise<string[]> {
  const dealing = await readDealing(path)
  if (dealing.did !== did) throw new Refusal(`${path}: is of ${dealing.did}, not of ${did}`)
  return [...dealing.retires, dealing.set]
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      ...sourceOptions,
      env: { type: 'string' },
      record: { type: 'string' },
      threshold: { type: 'string' },
      custodians: { type: 'string' },
      out: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { record, custodians, out, json } = values
  const sources = sourcesOf(values, splitUsage)
  if (record === undefined || custodians === undefined || out === undefined || sources === null) {
    throw new UsageError(splitUsage)
  }
  return {
    env: parseEnvironment(values.env, splitUsage),
    record,
    custodians,
    out,
    threshold: parseThreshold(values.threshold, splitUsage),
    sources,
    json,
  }
}
