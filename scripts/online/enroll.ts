import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { enrolDids } from '../../src/campaign/enrol-dids.ts'
import { MAX_LOG_BYTES, enrolLogs } from '../../src/campaign/enrol-logs.ts'
import { linesOf } from '../../src/files/lines.ts'
import { listPds } from '../../src/campaign/list-pds.ts'
import type { Outcome } from '../../src/campaign/outcome.ts'
import { DEFAULT_PER_SECOND, createPace } from '../../src/campaign/pace.ts'
import type { Context } from '../../src/context.ts'
import { listAccountsOverHttp } from '../../src/directory/pds-http.ts'
import { createPlcDirectory } from '../../src/directory/plc-http.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { createAccountSearch } from '../../src/store/enrolment-search.ts'
import { createEnrolmentStore } from '../../src/store/enrolment.ts'
import { UsageError, withContext } from './command.ts'
import type { Command } from './command.ts'
import { createEnrollReport } from './enroll-report.ts'
import type { EnrollReport } from './enroll-report.ts'
import { parsePdsOption } from './pds-option.ts'

const usage =
  'enroll [DID…] [--from FILE] [--pds URL] [--logs FILE] [--caller NAME] [--rate N] [--refresh] [--json]'
const PLC_DID = /^did:plc:[a-z2-7]{24}$/
const MAX_DID_LINE_BYTES = 1_024

type Options = {
  readonly dids: readonly string[]
  readonly from: string | undefined
  readonly pds: string | null
  readonly logs: string | undefined
  readonly caller: string | undefined
  readonly rate: number
  readonly refresh: boolean
  readonly json: boolean
}

/** Logs come first: what is in care then is not read from the directory any more. */
export const enrollCommand: Command = async (args) => {
  const options = parseOptions(args)
  await checkFiles(options)
  return await withContext(async (context) => {
    const caller = options.caller ?? onlyCaller(context.policies.callers)
    if (!context.policies.callers.some(({ name }) => name === caller)) {
      throw new UsageError(`${usage}\nno caller ${caller} in callers.yaml`)
    }
    const report = createEnrollReport(options)
    const run = { context, options, caller, report }
    if (options.logs !== undefined) await fromLogs(run, options.logs)
    await fromDirectory(run, options.dids, true)
    await fromDirectory(run, await listedDids(run), false)
    return report.end()
  })
}

type Run = {
  readonly context: Context
  readonly options: Options
  readonly caller: string
  readonly report: EnrollReport
}

async function fromLogs({ context, caller, report }: Run, path: string): Promise<void> {
  const found = path === '-' ? null : await stat(path)
  const total = found?.isFile() === true ? found.size : null
  report.begin({ name: 'logs', unit: 'bytes', total })
  const lines = linesOf(streamOf(path), {
    maxBytes: MAX_LOG_BYTES,
    onBytes: (count) => report.advance(count),
  })
  const { verify } = openVerifier()
  await enrolLogs(lines, { ...depsOf(context), verify }, told({ caller, report }, false))
}

async function fromDirectory(run: Run, dids: readonly string[], named: boolean): Promise<void> {
  if (dids.length === 0) return
  const { context, options, caller, report } = run
  report.begin({ name: 'directory', unit: 'identities', total: dids.length })
  const deps = {
    ...depsOf(context),
    directory: createPlcDirectory(context.config.plcUrl),
    verify: openVerifier().verify,
    pace: createPace(options.rate),
  }
  const enrolment = told({ caller, report }, named)
  await enrolDids(dids, deps, {
    caller,
    refresh: named || options.refresh,
    report: (outcome) => {
      enrolment.report(outcome)
      report.advance(1)
    },
  })
}

function depsOf({ db, sealer, policies }: Context) {
  return { store: createEnrolmentStore(db, sealer), policies }
}

function told({ caller, report }: Pick<Run, 'caller' | 'report'>, named: boolean) {
  return { caller, report: (outcome: Outcome) => report.outcome(outcome, named) }
}

/** From the file and from the PDS, each once, without those that were named. */
async function listedDids(run: Run): Promise<string[]> {
  const { options, report } = run
  const listed = new Set<string>()
  if (options.from !== undefined) {
    for await (const did of didsIn(options.from, report)) listed.add(did)
  }
  if (options.pds !== null) {
    for await (const did of didsAt(run, options.pds)) listed.add(did)
  }
  for (const did of options.dids) listed.delete(did)
  return [...listed]
}

async function* didsIn(path: string, report: EnrollReport): AsyncGenerator<string> {
  for await (const { number, bytes } of linesOf(streamOf(path), { maxBytes: MAX_DID_LINE_BYTES })) {
    const text = bytes?.toString('utf8').trim() ?? '?'
    if (PLC_DID.test(text)) yield text
    else if (text !== '' && !text.startsWith('#')) {
      report.outcome({ kind: 'invalid', did: null, line: number, reason: 'not a did:plc' }, false)
    }
  }
}

/**
 * What the caller's own PDS lists is kept, so that the door goes on from here, and so that it finds
 * by itself those who are listed before they have moved in.
 */
async function* didsAt({ context, caller, report }: Run, pds: string): AsyncGenerator<string> {
  const own = context.policies.callers.find(({ name }) => name === caller)?.pds === pds
  const search = createAccountSearch(context.db, context.sealer)
  report.begin({ name: pds, unit: 'accounts', total: null })
  for await (const page of listPds(pds, { listAccounts: listAccountsOverHttp })) {
    if (own) await search.keepPage(caller, { pds, ...page })
    report.advance(page.dids.length)
    yield* page.dids
  }
}

function streamOf(path: string): AsyncIterable<Uint8Array> {
  return path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1024 * 1024 })
}

function parseOptions(args: string[]): Options {
  const { values, positionals: dids } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      caller: { type: 'string' },
      from: { type: 'string' },
      pds: { type: 'string' },
      logs: { type: 'string' },
      rate: { type: 'string', default: String(DEFAULT_PER_SECOND) },
      refresh: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const { from, pds, logs, caller, refresh, json } = values
  if (dids.length === 0 && from === undefined && pds === undefined && logs === undefined) {
    throw new UsageError(usage)
  }
  if (from === '-' && logs === '-') throw new UsageError(`${usage}\nonly one of them can be -`)
  const wrong = dids.find((did) => !PLC_DID.test(did))
  if (wrong !== undefined) {
    throw new UsageError(`${usage}\n${JSON.stringify(wrong)} is not a did:plc`)
  }
  return {
    dids: [...new Set(dids)],
    from,
    logs,
    caller,
    refresh,
    json,
    pds: pds === undefined ? null : parsePdsOption(pds, usage),
    rate: parseRate(values.rate),
  }
}

function parseRate(text: string): number {
  const rate = Number(text)
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && rate > 0 && rate <= 10_000) return rate
  throw new UsageError(`${usage}\n--rate: reads per second, such as ${DEFAULT_PER_SECOND}`)
}

/** Before anything is opened: a file that is not there is a slip of the pen. */
async function checkFiles({ from, logs }: Options): Promise<void> {
  for (const path of [from, logs]) {
    if (path === undefined || path === '-') continue
    const found = await stat(path).catch(() => null)
    if (found === null || found.isDirectory())
      throw new UsageError(`${usage}\n${path} is not a file`)
  }
}

function onlyCaller(callers: readonly { readonly name: string }[]): string {
  const [only, second] = callers
  if (only === undefined || second !== undefined) {
    throw new UsageError(`${usage}\nthere is not exactly one caller; say which with --caller`)
  }
  return only.name
}
