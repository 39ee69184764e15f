import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openPlan } from '../../src/bundle/plan.ts'
import type { Evidence } from '../../src/recovery/bundle.ts'
import { createLogMaker, fastKey } from '../../test/support/generate-logs.ts'
import { partsOf, purposeOf, recoveryKeys, soloPolicies } from '../../test/support/recovery.ts'
import type { Ratios, Pass } from './recovery-pass.ts'

/** So many are measured side by side with the naive loop and the limit, in rounds of one process. */
const COMPARED = 400
const BATCH = 2_000
const HEAP_MB = 64

/**
 * What an account costs in a ceremony: its log (a genesis and a change of the handle) read, verified from
 * the genesis on, its operation derived, signed and checked. Beside the same loop on `@did-plc/lib` and
 * `@atproto/crypto`, and beside the curve operations alone in libsecp256k1.
 */
export async function benchRecovery(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: { accounts: { type: 'string', default: '10000' } },
  })
  const accounts = Number(values.accounts)
  if (!Number.isInteger(accounts) || accounts < COMPARED) {
    throw new Error(`--accounts: a number, ${COMPARED} at least`)
  }
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-bench-recovery-'))
  try {
    const small = await writeGenerated(join(dir, 'small'), COMPARED)
    const large = await writeGenerated(join(dir, 'large'), accounts)
    const ratios = await inProcess<Ratios>('compare', small)
    const base = await inProcess<Pass>('pass', await writeGenerated(join(dir, 'base'), 1_000))
    const pass = await inProcess<Pass>('pass', large)
    return {
      accounts,
      accounts_per_s_per_core: round(accounts / pass.cpu_s),
      accounts_per_s: round(accounts / pass.wall_s),
      ratio_to_naive: round(ratios.naive_us / ratios.own_us),
      ratio_to_limit: Number((ratios.limit_us / ratios.own_us).toFixed(3)),
      own_us: round(ratios.own_us),
      naive_us: round(ratios.naive_us),
      limit_us: round(ratios.limit_us),
      with_openssl_check_us: round(ratios.openssl_us),
      peak_rss_mb: round(pass.peak_rss_mb),
      peak_rss_mb_at_1000: round(base.peak_rss_mb),
      heap_limit_mb: HEAP_MB,
      engine: ratios.engine,
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** The bundle of a PDS that had so many accounts; the recovery key is the log maker's own. */
async function writeGenerated(path: string, count: number): Promise<string> {
  const server = 'bench recovery'
  const maker = await createLogMaker(server)
  const keys = await recoveryKeys(await fastKey(`${server} recovery`))
  const policies = await soloPolicies()
  const purpose = purposeOf({ ...keys, lost: await fastKey(server) }, policies)
  const evidence: Evidence[] = []
  for (let index = 0; index < count; index += 1) {
    const log = await maker.make(index)
    evidence.push({ did: log[0]!.did, log })
  }
  evidence.sort((a, b) => (a.did < b.did ? -1 : 1))
  const plan = await openPlan(
    path,
    purpose,
    evidence.map(({ did }) => did),
  )
  for (let start = 0; start < count; start += BATCH) {
    await plan.add(evidence.slice(start, start + BATCH))
  }
  await plan.finish(partsOf(keys, policies))
  await plan.close()
  return path
}

async function inProcess<T>(what: string, bundle: string): Promise<T> {
  const program = fileURLToPath(new URL('recovery-pass.ts', import.meta.url))
  // What lives must fit into this, however many accounts there are; the rest is garbage not yet collected.
  const execArgv = what === 'pass' ? [`--max-old-space-size=${HEAP_MB}`] : []
  const child = fork(program, [what, bundle], {
    execArgv,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const died = once(child, 'exit').then(() => {
    throw new Error(`the pass ${what} ended without an answer`)
  })
  const [message] = (await Promise.race([once(child, 'message'), died])) as [T]
  return message
}

const round = (value: number) => Number(value.toFixed(1))
