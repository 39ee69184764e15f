import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { toConfig } from '../../../src/config.ts'
import { openSealer, prepareDataDir } from '../../../src/data-dir.ts'
import { openPolicies } from '../../../src/development.ts'
import { signRequest, v1Call } from '../../support/aws-client.ts'
import type { AccessKey } from '../../support/aws-client.ts'
import type { PlcOperation } from '../../../src/plc/operation.ts'
import { kmsCaller } from '../../support/kms-caller.ts'
import { genesisOf } from '../../support/operations.ts'
import { createTestDatabase } from '../../support/postgres.ts'
import { replaceKey } from '../../support/pinned-key.ts'
import { startServiceProcess } from '../../support/service-process.ts'
import { openBench, until } from './harness.ts'

const CALLERS = 16
/** What an impatient caller waits before it asks again; the AWS SDK waits longer. */
const PAUSE_MS = 400

/** An answer of the KMS door: `signed`, or the AWS error; `ms` is how long it took. */
type Answer = { readonly what: string; readonly ms: number; readonly at: number }

/**
 * The real service in a process of its own, with a key in a token, under load through the KMS door,
 * while every call into the module hangs for a time.
 * @returns times in milliseconds
 */
export async function stallService(stallMs: number) {
  const bench = await openBench()
  const service = await startWithToken(bench)
  const kms = kmsCaller(service.url, service.credential)
  onTestFinished(() => kms.close())
  const answers: Answer[] = []
  const over = new AbortController()
  let serial = 0

  async function call(): Promise<void> {
    while (!over.signal.aborted) {
      const begun = performance.now()
      const answer = await kms.sign(genesisOf(`stall-${(serial += 1)}`, [bench.k.did]))
      const what = 'code' in answer ? `${answer.status} ${answer.code}` : 'signed'
      answers.push({ what, ms: performance.now() - begun, at: performance.now() })
      if (what !== 'signed') await sleep(PAUSE_MS)
    }
  }
  const callers = Array.from({ length: CALLERS }, call)
  await until(() => answers.length > 4 * CALLERS, 20_000)

  const v1 = await proposeAtV1(service, genesisOf('stall-v1', [bench.k.did]))
  const end = Date.now() + stallMs
  await bench.shim.set({ on: '*', action: 'stall-until', argument: end })
  const signing = sleep(1_500).then(v1.sign)
  const health = await pollHealth(service.url, end)
  const ended = performance.now()
  const resumed = await until(
    () => answers.some(({ what, at }) => what === 'signed' && at > ended),
    10_000,
  )
  over.abort()
  await Promise.all(callers)
  const during = await signing
  const after = await v1.sign()
  return {
    v1: [`${during.status} ${during.retryAfter}`, `${after.status} ${after.state}`],
    resumed,
    healthP99: percentile(health, 0.99),
    looks: health.length,
    slowest: Math.max(...answers.map(({ ms }) => ms)),
    answers: tally(answers.map(({ what }) => what)),
    logins: await bench.shim.count('C_Login'),
  }
}

async function startWithToken(bench: Awaited<ReturnType<typeof openBench>>) {
  const database = await createTestDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-stall-'))
  const config = toConfig({ HOLDFAST_DATA_DIR: dataDir }, dataDir)
  await prepareDataDir(config)
  await openPolicies(config, await openSealer(config))
  const { curve, did, uri } = bench.k
  await replaceKey(config, async () => ({ curve, did, uri }))
  const service = await startServiceProcess({
    dataDir,
    databaseUrl: database.url,
    plcUrl: 'http://127.0.0.1:1',
    environment: bench.environment,
  })
  onTestFinished(async () => {
    await service.stop()
    await database.drop()
    await rm(dataDir, { recursive: true })
  })
  if (service.credential === null) throw new Error('a first start prints a credential')
  return { ...service, credential: service.credential }
}

/** A request that waits at `/v1`, and what asking for its signature answers. */
async function proposeAtV1(
  { url, credential }: { url: string; credential: AccessKey },
  operation: PlcOperation,
) {
  async function post(path: string, content: object | null) {
    const headers = {
      host: new URL(url).host,
      ...(content === null ? {} : { 'content-type': 'application/json' }),
    }
    const body = content === null ? '' : JSON.stringify(content)
    const signed = signRequest(v1Call(path, '', credential, { method: 'POST', headers, body }))
    const answer = await fetch(`${url}${signed.target}`, {
      method: 'POST',
      headers: signed.headers.filter(([name]) => name !== 'host'),
      ...(content === null ? {} : { body }),
    })
    const { id = '', state = '' } = (await answer.json()) as { id?: string; state?: string }
    return { status: answer.status, retryAfter: answer.headers.get('retry-after'), id, state }
  }
  const { id } = await post('/v1/requests', { key: 'pds', operation })
  return { sign: async () => await post(`/v1/requests/${id}/sign`, null) }
}

/** Asks every 20 ms until the stall ends, as a load balancer would, if it were nervous. */
async function pollHealth(url: string, end: number): Promise<number[]> {
  const took: number[] = []
  while (Date.now() < end) {
    const begun = performance.now()
    const { ok } = await fetch(`${url}/healthz`)
    if (!ok) throw new Error('not alive')
    took.push(performance.now() - begun)
    await sleep(20)
  }
  return took.sort((a, b) => a - b)
}

const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}
