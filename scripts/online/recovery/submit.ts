import { parseArgs } from 'node:util'
import { createPace, DEFAULT_PER_SECOND } from '../../../src/campaign/pace.ts'
import { openStates } from '../../../src/campaign/ledger.ts'
import type { LedgerState } from '../../../src/campaign/ledger.ts'
import { submitRecovery } from '../../../src/campaign/submit-recovery.ts'
import { createPlcDirectory } from '../../../src/directory/plc-http.ts'
import { createPlcSubmit } from '../../../src/directory/plc-submit.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { createLedger, findCeremony, recordReport } from '../../../src/store/recovery-ledger.ts'
import { createProgress, formatSeconds } from '../../offline/recovery/progress.ts'
import { printJson, UsageError, withContext } from '../command.ts'
import { parseRate } from './options.ts'
import { showStatus } from './status.ts'

export const submitUsage =
  'recovery submit CEREMONY [--rate N] [--json]   send what was imported and look whether it is in force; goes on where it was'

/** A head is read before each operation is sent, and the log after it. */
const REQUESTS_EACH = 3

/** Exit 0: every operation is in force. 1: some are not, as the report says. */
export async function submitCeremony(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rate: { type: 'string', default: String(DEFAULT_PER_SECOND) },
      json: { type: 'boolean', default: false },
    },
  })
  const [id, extra] = positionals
  if (id === undefined || extra !== undefined) throw new UsageError(submitUsage)
  const rate = parseRate(values.rate, submitUsage)
  return await withContext(async ({ db, config }) => {
    const ceremony = await findCeremony(db, id)
    if (ceremony === null || !ceremony.complete) {
      const why =
        ceremony === null ? 'is not known here' : 'is not whole; run recovery import again'
      process.stderr.write(`ceremony ${id} ${why}\n`)
      return 1
    }
    const ledger = createLedger(db)
    const open = openIn(await ledger.counts(id))
    if (!values.json && open > 0) {
      const seconds = (open * REQUESTS_EACH) / rate
      process.stderr.write(
        `${open} operations, ${rate} requests a second: about ${formatSeconds(seconds)}\n`,
      )
    }
    const stop = stopOnSignal()
    const progress = createProgress('submitting', open)
    const done = new Set<LedgerState>(['observed', 'stale', 'refused', 'overruled'])
    const report = {
      ceremony: id,
      signal: stop.signal,
      report: (
        row: { recorded: { did: string } },
        change: { state: LedgerState; detail: string | null },
      ) => {
        if (values.json) printJson({ did: row.recorded.did, ...change })
        if (done.has(change.state)) progress.advance(1)
      },
    }
    const directory = createPlcDirectory(config.plcUrl)
    const submit = createPlcSubmit(config.plcUrl)
    const pace = createPace(rate)
    const { verify } = openVerifier()
    try {
      await submitRecovery({ ledger, directory, submit, pace, verify }, report)
    } finally {
      stop.end()
      progress.end()
    }
    await keepReport(db, id, await ledger.counts(id))
    return await showStatus(db, ceremony, {
      json: values.json,
      states: ['stale', 'refused', 'overruled'],
    })
  })
}

async function keepReport(
  db: Parameters<typeof recordReport>[0],
  ceremony: string,
  counts: Readonly<Record<LedgerState, number>>,
): Promise<void> {
  const { observed, stale, refused, overruled } = counts
  const kind = 'ceremony.reported'
  await recordReport(db, {
    kind,
    ceremony,
    observed,
    open: openIn(counts),
    stale,
    refused,
    overruled,
  })
}

const openIn = (counts: Readonly<Record<LedgerState, number>>): number =>
  openStates.reduce((sum, state) => sum + counts[state], 0)

/** The first signal lets what is under way end; a run that is killed anyway loses nothing. */
function stopOnSignal(): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController()
  const stop = () => controller.abort()
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const name of signals) process.once(name, stop)
  return {
    signal: controller.signal,
    end: () => {
      for (const name of signals) process.off(name, stop)
    },
  }
}
