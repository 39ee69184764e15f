// One way through a bundle in a process of its own, so that its memory and time are its own.
import { hash } from 'node:crypto'
import { parseTrustCard } from '../../src/audit/trust-card.ts'
import { openBundle } from '../../src/bundle/open.ts'
import type { Bundle } from '../../src/bundle/open.ts'
import { openVerifier, opensslVerifier } from '../../src/ecdsa/native.ts'
import { openPrivateKey } from '../../src/ecdsa/private-key.ts'
import { judgeBundle } from '../../src/recovery/judge.ts'
import { verifyRecovery } from '../../src/recovery/result.ts'
import { trustIntent } from '../../src/recovery/trusted.ts'
import type { EcdsaVerify } from '../../src/plc/signature.ts'
import { curveOperations, prepareCurve, reference } from '../../test/support/recovery-yardsticks.ts'
import type { Row } from '../../test/support/recovery-yardsticks.ts'
import { cardOf } from '../../test/support/recovery.ts'

export type Pass = { wall_s: number; cpu_s: number; peak_rss_mb: number }
/** Microseconds an account. */
export type Ratios = {
  own_us: number
  naive_us: number
  limit_us: number
  openssl_us: number
  engine: string
}

const ROUNDS = 5
const RECOVERY_SECRET = new Uint8Array(hash('sha256', 'bench recovery recovery', 'buffer'))

const [what = '', path = ''] = process.argv.slice(2)
const bundle = await openBundle(path)
const trusted = trustIntent(bundle.intent, parseTrustCard(cardOf(bundle.intent)), bundle)
const { verify, engine } = openVerifier()

process.send?.(what === 'pass' ? await pass() : await compare(bundle), () => process.disconnect())

async function pass(): Promise<Pass> {
  const wall = performance.now()
  const cpu = process.cpuUsage()
  await own(verify)
  const { user, system } = process.cpuUsage(cpu)
  return {
    wall_s: (performance.now() - wall) / 1e3,
    cpu_s: (user + system) / 1e6,
    peak_rss_mb: process.resourceUsage().maxRSS / 1024,
  }
}

/** Rounds of each kind in turn, so that what disturbs one disturbs all; the fastest round of each counts. */
async function compare({ intent }: Bundle): Promise<Ratios> {
  const logs = await readLogs()
  const purpose = { ...intent, secret: RECOVERY_SECRET }
  const prepared = prepareCurve(logs, purpose)
  const count = intent.operations.count
  const times = { own: [], naive: [], limit: [], openssl: [] } as Record<string, number[]>
  for (let round = 0; round < ROUNDS; round += 1) {
    times['own']!.push(await timed(async () => await own(verify)))
    times['openssl']!.push(await timed(async () => await own(opensslVerifier())))
    times['limit']!.push(await timed(async () => curveOperations(prepared, purpose)))
    times['naive']!.push(await timed(async () => await reference(logs, purpose)))
  }
  const best = (name: string) => (Math.min(...times[name]!) * 1e3) / count
  return {
    own_us: best('own'),
    naive_us: best('naive'),
    limit_us: best('limit'),
    openssl_us: best('openssl'),
    engine,
  }
}

/** What `ceremony sign` does with an account, and nothing of its journal. */
async function own(check: EcdsaVerify): Promise<void> {
  const key = await openPrivateKey('K-256', RECOVERY_SECRET)
  for await (const judged of judgeBundle(bundle.intent, bundle.lines(), verify)) {
    if (judged.kind === 'excluded') throw new Error(`${judged.did}: ${judged.reason}`)
    const compact = await key.sign(judged.bytes)
    await verifyRecovery(trusted, judged, { compact, verify: check })
  }
}

async function readLogs(): Promise<Row[][]> {
  const logs: Row[][] = []
  for await (const { bytes } of bundle.lines().evidence) {
    logs.push((JSON.parse(Buffer.from(bytes!).toString('utf8')) as { log: Row[] }).log)
  }
  return logs
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
