import { lstat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { openPlan } from '../../../src/bundle/plan.ts'
import type { Plan } from '../../../src/bundle/plan.ts'
import { readRawLog } from '../../../src/campaign/evidence.ts'
import { createPace, DEFAULT_PER_SECOND } from '../../../src/campaign/pace.ts'
import { openPolicies } from '../../../src/development.ts'
import { createPlcDirectory } from '../../../src/directory/plc-http.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { policySetBytes } from '../../../src/policy/canonical.ts'
import { rosterBytes } from '../../../src/policy/parse/roster.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { Evidence } from '../../../src/recovery/bundle.ts'
import { intentDigest } from '../../../src/recovery/intent.ts'
import type { Intent } from '../../../src/recovery/intent.ts'
import { renderSummary } from '../../../src/recovery/summary.ts'
import type { Summary } from '../../../src/recovery/summary.ts'
import { wordTable } from '../../offline/recovery/confirm.ts'
import { createProgress, formatSeconds } from '../../offline/recovery/progress.ts'
import { print, printJson, UsageError, withContext } from '../command.ts'
import { openGround } from '../keys/open.ts'
import type { Ground } from '../keys/open.ts'
import { parseEnv, parseRate } from './options.ts'
import { accountsInList, accountsInPdsData } from './accounts.ts'
import { purposeOf, signIntent } from './purpose.ts'

export const planUsage = `recovery plan BUNDLE --env prod|rehearsal --lost KEY --replacement ID [--recovery KEY] [--planner ID]
    and whose accounts: --pds-data DIR, --from FILE, --in-care, --stale CEREMONY; [--rate N] [--json]`

/** Answers that are waited for at once: the pace holds though each takes seconds. */
const WIDTH = 8

/**
 * Reads the log of every account and makes a bundle of the evidence: what is to be done, for whom, and
 * nothing signed but by the new key, that it is there. Needs no database unless the accounts come from it.
 */
export async function planRecovery(args: string[]): Promise<number> {
  const options = parse(args)
  const { path, json } = options
  if ((await lstat(path).catch(() => null)) !== null) {
    process.stderr.write(`${escapeText(path)}: is there already; nothing was planned\n`)
    return 1
  }
  const ground = await openGround()
  const { policies } = await openPolicies(ground.config, ground.sealer)
  const { purpose, replacement } = purposeOf(
    { policies, config: ground.config },
    options,
    new Date(),
  )
  const dids = await listAccounts(options)
  if (dids.length === 0) throw new UsageError('no account is named')
  const plan = await openPlan(path, purpose, dids)
  try {
    await gather(plan, dids, ground, options.rate)
    const { intent, summary } = await plan.finish({
      policies: policySetBytes(policies),
      roster: policies.roster === null ? null : new Uint8Array(rosterBytes(policies.roster)),
      verify: openVerifier().verify,
      sign: async (unsigned) => await signIntent(ground, replacement, unsigned),
    })
    tell(intent, summary, { path, json, rate: options.rate })
    return 0
  } finally {
    await plan.close()
  }
}

/** In order, so that a run that was killed knows where it was. */
async function gather(
  plan: Plan,
  dids: readonly string[],
  { config }: Ground,
  rate: number,
): Promise<void> {
  const deps = { directory: createPlcDirectory(config.plcUrl), pace: createPace(rate) }
  const progress = createProgress('reading logs', dids.length)
  progress.advance(plan.done)
  for (let start = plan.done; start < dids.length; start += WIDTH) {
    const part = dids.slice(start, start + WIDTH)
    await plan.add(await Promise.all(part.map(async (did) => await evidenceOf(did, deps))))
    progress.advance(part.length)
  }
  progress.end()
}

async function evidenceOf(did: string, deps: Parameters<typeof readRawLog>[1]): Promise<Evidence> {
  const read = await readRawLog(did, deps)
  if (read.kind === 'read') return { did, log: Array.isArray(read.value) ? read.value : [] }
  return { did, absent: read.kind === 'refused' ? 'not-registered' : 'unread' }
}

async function listAccounts({ from, pdsData, inCare, stale }: Options): Promise<string[]> {
  const listed: string[] = []
  if (from !== undefined) listed.push(...(await accountsInList(from)))
  if (pdsData !== undefined) {
    const { dids, others } = await accountsInPdsData(pdsData)
    listed.push(...dids)
    if (others > 0) process.stderr.write(`${others} accounts are of another DID method\n`)
  }
  if (inCare || stale !== undefined) {
    const { didsInCare, staleDids } = await import('../../../src/store/recovery-ledger.ts')
    listed.push(
      ...(await withContext(async ({ db }) => [
        ...(inCare ? await didsInCare(db) : []),
        ...(stale === undefined ? [] : await staleDids(db, stale)),
      ])),
    )
  }
  return [...new Set(listed)].sort()
}

function tell(
  intent: Intent,
  summary: Summary,
  { path, json, rate }: { path: string; json: boolean; rate: number },
): void {
  const digest = intentDigest(intent)
  if (json) {
    const { accounts, operations, excluded, remarks } = summary
    const hex = Buffer.from(digest).toString('hex')
    printJson({
      bundle: path,
      ceremony: intent.ceremony,
      digest: hex,
      accounts,
      operations,
      excluded,
      remarks,
    })
    return
  }
  print(renderSummary(intent, summary))
  const seconds = (2 * summary.operations.count) / rate
  print(`submitting them will take about ${formatSeconds(seconds)}, at ${rate} requests a second`)
  print(`${escapeText(path)} is the bundle. Its words, to be written down or printed:`)
  print(wordTable(digest))
}

type Options = ReturnType<typeof parse>

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      env: { type: 'string' },
      lost: { type: 'string' },
      replacement: { type: 'string' },
      recovery: { type: 'string' },
      planner: { type: 'string' },
      from: { type: 'string' },
      'pds-data': { type: 'string' },
      'in-care': { type: 'boolean', default: false },
      stale: { type: 'string' },
      rate: { type: 'string', default: String(DEFAULT_PER_SECOND) },
      json: { type: 'boolean', default: false },
    },
  })
  const [path, extra] = positionals
  const { lost, replacement, recovery, planner, from, stale, json } = values
  const { 'pds-data': pdsData, 'in-care': inCare } = values
  if (path === undefined || extra !== undefined) throw new UsageError(planUsage)
  if (lost === undefined || replacement === undefined) throw new UsageError(planUsage)
  if (from === undefined && pdsData === undefined && !inCare && stale === undefined) {
    throw new UsageError(planUsage)
  }
  const env = parseEnv(values.env, planUsage)
  const rate = parseRate(values.rate, planUsage)
  return {
    path,
    env,
    lost,
    replacement,
    recovery,
    planner,
    from,
    pdsData,
    inCare,
    stale,
    rate,
    json,
  }
}
