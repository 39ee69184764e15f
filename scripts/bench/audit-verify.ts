import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { readBundle, readTile } from '../online/verify/audit/folder.ts'
import { openTrust } from '../online/verify/audit/trust.ts'
import type { Trust } from '../online/verify/audit/trust.ts'
import { verifyFolder } from '../online/verify/audit/verify.ts'
import { formatVkey } from '../../src/audit/note.ts'
import { hashLeaf } from '../../src/audit/merkle.ts'
import { TILE_WIDTH } from '../../src/audit/tile.ts'
import { verifyLog } from '../../src/audit/verify/verify-log.ts'
import type { Report, Run } from '../../src/audit/verify/verify-log.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { fastKey } from '../../test/support/generate-logs.ts'
import { writeBenchLog } from './generate-audit-log.ts'

const ECDSA_SAMPLES = 10_000

/**
 * How long an auditor waits: the tree alone (every entry hashed, every tile compared, the root), on one
 * core; then everything that `audit verify` checks, on all. Seconds for a million entries; and seconds of
 * processor time, beside those that the signatures of the log alone take, for machines that have other work.
 */
export async function benchAuditVerify(entries: number): Promise<object> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-bench-log-'))
  try {
    const { signatures } = await writeBenchLog(dir, entries)
    const given = { dir, trust: null, checkpoint: join(dir, 'checkpoint'), maxAge: 1 }
    const trust = openTrust(given, 0)
    const { size } = trust.checkpoint
    const tree = await timed(async () => await verifyTree(dir, trust))
    const before = process.cpuUsage()
    const all = await timed(async () => await verifyFolder(dir, trust))
    const cpu = cpuSeconds(before)
    const perMillion = (seconds: number) => Math.round((seconds / size) * 1e8) / 100
    return {
      verify_entries: size,
      verify_signatures: signatures,
      verify_tree_million_s: perMillion(tree),
      verify_million_s: perMillion(all),
      verify_million_cpu_s: perMillion(cpu),
      verify_million_ecdsa_cpu_s: perMillion(signatures * (await ecdsaSeconds())),
      verify_cores: availableParallelism(),
      verify_engine: openVerifier().engine,
      verify_peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    }
  } finally {
    await rm(dir, { recursive: true })
  }
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

/** Of processor time, for one signature of an operation. */
async function ecdsaSeconds(): Promise<number> {
  const key = await fastKey('audit benchmark')
  const message = randomBytes(300)
  const signature = await key.sign(message)
  const { verify } = openVerifier()
  const before = process.cpuUsage()
  for (let count = 0; count < ECDSA_SAMPLES; count += 1) {
    if (!(await verify(key.did, message, signature))) throw new Error('a good signature is refused')
  }
  return cpuSeconds(before) / ECDSA_SAMPLES
}

async function timed(work: () => Promise<Report>): Promise<number> {
  const started = performance.now()
  const { verdict, findings, missing } = await work()
  if (verdict !== 'sound') throw new Error(JSON.stringify({ verdict, findings, missing }))
  return (performance.now() - started) / 1000
}

async function verifyTree(dir: string, { checkpoint, key, anchors, unanchored }: Trust) {
  const { size } = checkpoint
  async function* runs(): AsyncGenerator<Run> {
    for (let start = 0; start < size; start += TILE_WIDTH) {
      const bodies = readBundle(dir, start / TILE_WIDTH, Math.min(TILE_WIDTH, size - start)) ?? []
      yield { start, leaves: bodies.map(hashLeaf), facts: [], bad: null }
    }
  }
  return await verifyLog({
    checkpoint,
    checkpointKey: formatVkey(key),
    anchors,
    unanchored,
    runs,
    tile: async (tile) => readTile(dir, tile),
    verify: openVerifier().verify,
  })
}
