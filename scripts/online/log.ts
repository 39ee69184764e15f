import { parseArgs } from 'node:util'
import { readEnv, toConfig } from '../../src/config.ts'
import { readVerifiedLog } from '../../src/custody/read-log.ts'
import { DirectoryError } from '../../src/directory/directory.ts'
import { createPlcDirectory } from '../../src/directory/plc-http.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import type { VerifiedLog } from '../../src/plc/log.ts'
import { UsageError, print, printJson } from './command.ts'
import type { Command } from './command.ts'
import { renderGoatData, renderGoatSorted } from './goat.ts'

const usage = 'log history DID | log data DID | log verify FILE'
const DID = /^did:plc:[a-z2-7]{24}$/

/** `goat plc history` and `goat plc data`, but of a log that was verified from its genesis on. */
export const log: Command = async ([verb = '', ...args]) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const [did = '', extra] = positionals
  const show = { history, data }[verb]
  if (show === undefined || extra !== undefined) throw new UsageError(usage)
  if (!DID.test(did)) throw new UsageError(`${usage}\n${JSON.stringify(did)} is not a did:plc`)
  const { plcUrl } = toConfig(readEnv(process.env), process.cwd())
  const directory = createPlcDirectory(plcUrl)
  try {
    const verified = await readVerifiedLog(did, { directory, verify: openVerifier().verify })
    return show(verified, values.json)
  } catch (error) {
    if (!(error instanceof DirectoryError)) throw error
    process.stderr.write(`${error.message}\n`)
    return exitCodeOf(error)
  }
}

/** The operations that count, as goat prints them; as JSON, all of them with CID, time and `nullified`. */
function history({ entries }: VerifiedLog, json: boolean): number {
  if (json) printJson(entries)
  else {
    for (const { operation, nullified } of entries) {
      if (!nullified) print(renderGoatSorted(operation))
    }
  }
  return 0
}

function data({ did, data }: VerifiedLog, json: boolean): number {
  if (data === null) {
    process.stderr.write(`${did} is a tombstone: it has no data\n`)
    return 1
  }
  if (json) printJson({ did, ...data })
  else print(renderGoatData({ did, ...data }))
  return 0
}

function exitCodeOf({ code }: DirectoryError): number {
  switch (code) {
    case 'not-registered':
    case 'malformed':
      return 1
    case 'rate-limited':
    case 'unknown':
      return 3
  }
}
