import { lstat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import {
  logForkAct,
  logForkDigest,
  parseLogFork,
  renderLogFork,
} from '../../../src/approval/log-fork.ts'
import type { LogForkRequest } from '../../../src/approval/log-fork.ts'
import { formatVkey } from '../../../src/audit/note.ts'
import { publicOrigin } from '../../../src/config.ts'
import type { Context } from '../../../src/context.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { firstHeld } from '../../../src/open-log.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { forkLog } from '../../../src/sequencer/fork.ts'
import type { Forked } from '../../../src/sequencer/fork.ts'
import type { Held } from '../../../src/sequencer/held.ts'
import { recordReconciled } from '../../../src/store/log-deeds.ts'
import { readText, Refusal } from '../../offline/command.ts'
import { confirmWords, wordTable } from '../../offline/recovery/confirm.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError, withContext } from '../command.ts'
import { agreementBeside } from '../trust/approvals-beside.ts'

export const forkUsage =
  'audit fork FILE [--proposer ID] [--json]   give entries up that are lost for good: writes FILE as what is asked, and does it when it is there and approved'

const RECONCILE_MS = 600_000

/**
 * Where entries were checkpointed and are lost for good, nothing is signed any more, whatever is tried. This
 * lets the log go on from what is left, under a new name, once persons have decided it: the first run reads
 * the directory on to its end and writes down what is given up; the second does it, with the approvals that
 * lie beside the file, or the words that the operator types where the policies ask nobody.
 */
export async function auditFork(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { proposer: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const [path, extra] = positionals
  if (path === undefined || extra !== undefined) throw new UsageError(forkUsage)
  const isThere = (await lstat(path).catch(() => null)) !== null
  return await withContext(async (context) => {
    const held = await context.auditLog.held.read()
    if (held === null) {
      process.stderr.write('there is no held record: without it nothing says what is lost\n')
      return 1
    }
    if (isThere) return await execute(context, { path, held, json: values.json })
    const proposer = values.proposer ?? null
    return await describe(context, { path, held, proposer, json: values.json })
  })
}

type Described = { path: string; held: Held; proposer: string | null; json: boolean }

async function describe(context: Context, given: Described): Promise<number> {
  const { path, held, proposer, json } = given
  const { auditLog, config, policies } = context
  const { range } = await auditLog.store.head()
  if (range.size >= held.size) {
    process.stderr.write(`nothing is lost: the database has ${range.size} entries\n`)
    return 1
  }
  if (proposer !== null && policies.roster?.persons.some(({ id }) => id === proposer) !== true) {
    throw new UsageError(`${forkUsage}\n--proposer: the roster names no ${proposer}`)
  }
  const { origin } = firstHeld(config)
  const signer = auditLog.signerFor(origin)
  if (signer === null) throw new Refusal('there is no checkpoint key')
  const found = await context.follow(AbortSignal.timeout(RECONCILE_MS))
  const counts = {
    operations: found.operations,
    foreign: found.foreign.length,
    nullified: found.nullified.length,
  }
  await recordReconciled(context.db, { directory: config.plcUrl, own: found.own, ...counts })
  const request: LogForkRequest = {
    format: 'holdfast/log-fork/v1',
    env: policies.env,
    audience: publicOrigin(config),
    made: new Date().toISOString(),
    proposer,
    from: { origin: held.origin, size: held.size, root: hex(held.root) },
    had: range.size,
    origin,
    checkpointKey: formatVkey(signer.key),
    directory: { url: config.plcUrl, ...counts },
  }
  if (!(await writeOnce(path, renderLogFork(request)))) {
    throw new Refusal(`${escapeText(path)}: is there already`)
  }
  const digest = logForkDigest(request)
  if (json) printJson({ request, digest: hex(digest) })
  else {
    print(renderLogFork(request))
    print(`${escapeText(path)} says what is given up; nothing is done yet. Its words:`)
    print(wordTable(digest))
  }
  return 0
}

async function execute(
  context: Context,
  { path, held, json }: Omit<Described, 'proposer'>,
): Promise<number> {
  const { auditLog } = context
  const request = parseLogFork(await readText(path), escapeText(path))
  const { approvals, approvers } = await agreementBeside(context, path, logForkAct(request))
  if (approvers.length === 0) await askWords(logForkDigest(request))
  const { from, had, origin, checkpointKey } = request
  const outcome = await forkLog(auditLog.store, auditLog.held, {
    held,
    entry: {
      kind: 'log.forked',
      from: from.origin,
      size: from.size,
      root: new Uint8Array(Buffer.from(from.root, 'hex')),
      had,
      origin,
      checkpointKey,
      agreed: { request: renderLogFork(request), approvals },
    },
  })
  return tell(outcome, { json, checkpointKey })
}

function tell(
  outcome: Forked,
  { json, checkpointKey }: { json: boolean; checkpointKey: string },
): number {
  if (json) printJson(outcome.kind === 'forked' ? { kind: 'forked', checkpointKey } : outcome)
  switch (outcome.kind) {
    case 'forked':
      if (!json) {
        print(`The log goes on as ${outcome.held.origin}. Its checkpoints are signed by`)
        print(checkpointKey)
        print('Give that line to your auditors. Signing goes on by itself.')
      }
      return 0
    case 'nothing-lost':
      process.stderr.write(`nothing is lost: the database has ${outcome.size} entries\n`)
      return 1
    case 'another-loss':
      process.stderr.write(
        `another loss than the one that was approved: ${outcome.had} of ${outcome.size} entries are there now\n`,
      )
      return 1
    case 'busy':
      process.stderr.write('an instance of the service holds the log; stop it and try again\n')
      return 3
  }
}

/** The operator's own words stand in for officers where there are none. */
async function askWords(digest: Uint8Array): Promise<void> {
  const terminal = openTerminal()
  try {
    await confirmWords(terminal, { what: 'the request', digest })
  } finally {
    terminal.close()
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
