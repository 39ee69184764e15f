import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { eq } from 'drizzle-orm'
import type { Pool, PoolClient } from 'pg'
import { readEnv, toConfig, toSecrets } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import type { Context } from '../../src/context.ts'
import { developmentCaller, developmentKey } from '../../src/development.ts'
import { doorsOf } from '../../src/doors.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { derToCompact } from '../../src/ecdsa/der.ts'
import { listen } from '../../src/http/server.ts'
import { createLogger } from '../../src/logger.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { SigningBytes } from '../../src/plc/encode.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import type { CommittedIntent, Signer } from '../../src/signer/signer.ts'
import { addCredential } from '../../src/store/callers.ts'
import { createPool } from '../../src/store/database.ts'
import { openPrivateServer } from '../../src/store/private-server.ts'
import { auditOutbox, requests } from '../../src/store/schema.ts'
import { kmsCall, signRequest } from '../../test/support/aws-client.ts'
import { removeDataDir } from '../../test/support/data-dir.ts'
import type { Job, LoadResult } from './load.ts'
import { signKeys } from './sign-key.ts'
import type { SignKey } from './sign-key.ts'

/**
 * Operations signed through the KMS door: SigV4, policy, two durable commits with their audit
 * entries. Beside it, in the same run and at the same concurrency, the floor: a bare loop that signs
 * with the same key and makes two durable commits and nothing else. Rounds of the two take turns.
 */
export async function benchSign(args: string[]): Promise<object> {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '5' },
      count: { type: 'string', default: '1000' },
      concurrency: { type: 'string', default: '16' },
      backend: { type: 'string', default: 'file' },
    },
  })
  const openKey = Object.hasOwn(signKeys, values.backend) ? signKeys[values.backend] : undefined
  if (openKey === undefined) {
    throw new Error(`--backend ${values.backend}: is one of ${Object.keys(signKeys).join(', ')}`)
  }
  const size = {
    rounds: Number(values.rounds),
    count: Number(values.count),
    concurrency: Number(values.concurrency),
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  await chmod(dataDir, 0o711)
  const key = await openKey()
  try {
    const bench = await openBench(dataDir, key)
    try {
      return { bench: 'sign', backend: values.backend, ...(await measure(bench, size)) }
    } finally {
      await bench.close()
    }
  } finally {
    await removeDataDir(dataDir)
    await key.close()
  }
}

type Size = { rounds: number; count: number; concurrency: number }
type Bench = Awaited<ReturnType<typeof openBench>>

async function openBench(dataDir: string, key: SignKey) {
  const statements = { all: 0, commits: 0 }
  let pool: Pool | null = null
  let signer: Signer | null = null
  const log = createLogger()
  log.level = 'error'
  const config = toConfig(readEnv({ HOLDFAST_DATA_DIR: dataDir, HOLDFAST_PORT: '0' }), dataDir)
  await key.prepare(config)
  const context = await createContext({
    config,
    environment: key.environment,
    secrets: toSecrets({}),
    log,
    withSigners: true,
    overrides: {
      poolFor: (connection) => (pool = countStatements(createPool(connection), statements)),
      wrapSigner: (opened) => (signer = opened),
    },
  })
  const server = await listen(await doorsOf(context, log), { host: '127.0.0.1', port: 0 })
  const credential = await addCredential(context.db, context.sealer, developmentCaller)
  if (pool === null || signer === null) throw new Error('the context made no pool or no signer')
  return {
    context,
    key,
    statements,
    pool: pool as Pool,
    signer: signer as Signer,
    credential,
    url: `${server.url}/kms/`,
    makeFloor: async () => await makeFloor(dataDir),
    close: async () => {
      await server.close()
      await context.close()
    },
  }
}

/** The service's own role makes no table. */
async function makeFloor(dataDir: string): Promise<void> {
  const quiet = { info: () => undefined, warn: () => undefined }
  const server = await openPrivateServer({ dataDir, log: quiet })
  const owner = createPool(server.owner)
  await owner.query(`
    create table bench_floor (id bigserial primary key, body bytea not null);
    grant insert on bench_floor to ${server.connection.user};
    grant usage on bench_floor_id_seq to ${server.connection.user}`)
  await owner.end()
  await server.release()
}

/** Every statement is one round trip: nothing here pipelines. */
function countStatements(pool: Pool, statements: { all: number; commits: number }): Pool {
  pool.on('connect', (client: PoolClient) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    const counted = (...args: unknown[]) => {
      const [first] = args
      const text = typeof first === 'string' ? first : ((first as { text?: string }).text ?? '')
      statements.all += 1
      if (/^commit$/i.test(text)) statements.commits += 1
      return query(...args)
    }
    Object.assign(client, { query: counted })
  })
  return pool
}

async function measure(bench: Bench, size: Size): Promise<object> {
  await bench.makeFloor()
  await runDoor(bench, { ...size, count: 200 })
  await runFloor(bench, { ...size, count: 200 })
  const before = { ...bench.statements }
  const doors: DoorRound[] = []
  const floors: number[] = []
  const counted = { all: 0, commits: 0, cpu: 0 }
  for (let round = 0; round < size.rounds; round++) {
    const start = { ...bench.statements }
    const begun = { cpu: process.cpuUsage(), at: performance.now() }
    doors.push(await runDoor(bench, size))
    counted.cpu += cpuSince(begun)
    counted.all += bench.statements.all - start.all
    counted.commits += bench.statements.commits - start.commits
    floors.push(await runFloor(bench, size))
    process.stderr.write(
      `round ${round + 1}: door ${doors.at(-1)?.perSecond.toFixed(0)}/s, floor ${floors.at(-1)?.toFixed(0)}/s\n`,
    )
  }
  if (before.all === bench.statements.all) throw new Error('no statement was counted')
  const rates = await runRaw(bench, size.count)
  const raw = Math.max(...Object.values(rates))
  const signatures = size.rounds * size.count
  await verifyAll(bench, doors)
  const perSecond = median(doors.map((door) => door.perSecond))
  const floor = median(floors)
  const saturated = doors.flatMap((door) => door.milliseconds).sort((a, b) => a - b)
  const load = 0.8 * perSecond
  const paced = await runDoor(
    bench,
    { ...size, count: Math.min(size.count, Math.ceil(load * 5)) },
    load,
  )
  await verifyAll(bench, [paced])
  const milliseconds = paced.milliseconds.sort((a, b) => a - b)
  return {
    curve: 'K-256',
    ratio: round3(
      median(doors.map((door, index) => door.perSecond / (floors[index] ?? Number.NaN))),
    ),
    ratio_to_key: round3(perSecond / raw),
    per_s: round1(perSecond),
    floor_per_s: round1(floor),
    raw_per_s: round1(raw),
    raw_per_s_by_concurrency: JSON.stringify(rates),
    load_per_s: round1(load),
    p50_ms: round1(percentile(milliseconds, 0.5)),
    p99_ms: round1(percentile(milliseconds, 0.99)),
    saturated_p50_ms: round1(percentile(saturated, 0.5)),
    saturated_p99_ms: round1(percentile(saturated, 0.99)),
    commits_per_signature: round3(counted.commits / signatures),
    round_trips_per_signature: round3(counted.all / signatures),
    signatures,
    verified: signatures,
    concurrency: size.concurrency,
    ...(await durability(bench)),
    service_cpu: round3(counted.cpu / size.rounds),
    ...(await timeOfSteps(bench)),
    bound_by: counted.cpu / size.rounds > 0.8 ? bench.key.boundBy : BOUND_BY_TURNS,
  }
}

const BOUND_BY_TURNS =
  'waiting, not CPU: each signature takes its turn in two batched transactions (claim, record), each of ' +
  'which waits for the one before it; mean_ms has both. More callers at once share the same turns'

/** How much of one core this process used; the load has a process of its own. */
function cpuSince({ cpu, at }: { cpu: NodeJS.CpuUsage; at: number }): number {
  const { user, system } = process.cpuUsage(cpu)
  return (user + system) / 1_000 / (performance.now() - at)
}

type DoorRound = {
  perSecond: number
  milliseconds: number[]
  signed: { bytes: SigningBytes; compact: Uint8Array }[]
}

async function runDoor(
  bench: Bench,
  { count, concurrency }: Size,
  perSecond: number | null = null,
): Promise<DoorRound> {
  const operations = Array.from({ length: count }, () => signingBytes(newGenesis(bench.context)))
  const job: Job = {
    url: bench.url,
    // An open loop needs room for those that come while others are late.
    concurrency: perSecond === null ? concurrency : Math.min(200, 8 * concurrency),
    perSecond,
    requests: operations.map((bytes) => {
      const input = {
        KeyId: developmentKey,
        Message: Buffer.from(bytes).toString('base64'),
        SigningAlgorithm: 'ECDSA_SHA_256',
      }
      const call = kmsCall('Sign', input, bench.credential)
      call.headers['host'] = new URL(bench.url).host
      const { headers, body } = signRequest(call)
      return { headers, body: Buffer.from(body).toString('utf8') }
    }),
  }
  const result = await load(job)
  const signed = operations.map((bytes, index) => {
    const answer = JSON.parse(result.answers[index] ?? '{}') as { Signature?: string }
    if (answer.Signature === undefined) throw new Error(`not signed: ${result.answers[index]}`)
    return { bytes, compact: derToCompact(Buffer.from(answer.Signature, 'base64')) }
  })
  return { perSecond: count / result.seconds, milliseconds: result.milliseconds, signed }
}

/** Without our own flags: what the launcher preloads lets a program end while it waits for its job. */
async function load(job: Job): Promise<LoadResult> {
  const execArgv = ['--disable-warning=ExperimentalWarning']
  const child = fork(new URL('./load.ts', import.meta.url), { stdio: 'inherit', execArgv })
  child.send(job)
  const ended = once(child, 'exit').then(() => {
    throw new Error('the process that makes the load ended without an answer')
  })
  const [result] = (await Promise.race([once(child, 'message'), ended])) as [LoadResult]
  return result
}

/** What no service can go below: the same key, two durable commits, nothing else. */
async function runFloor(bench: Bench, { count, concurrency }: Size): Promise<number> {
  const operations = Array.from({ length: count }, () => signingBytes(newGenesis(bench.context)))
  const body = randomBytes(1200)
  let next = 0
  const started = performance.now()
  const worker = async () => {
    for (let index = next++; index < count; index = next++) {
      await bench.pool.query('insert into bench_floor (body) values ($1)', [body])
      await bench.signer.sign(intentFor(bench, operations[index]), AbortSignal.timeout(5000))
      await bench.pool.query('insert into bench_floor (body) values ($1)', [body])
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return count / ((performance.now() - started) / 1000)
}

/** The key alone: its best is what no service can exceed. */
async function runRaw(bench: Bench, count: number): Promise<Readonly<Record<string, number>>> {
  if (bench.key.rawRates !== null) return await bench.key.rawRates(count)
  const operations = Array.from({ length: count }, () => signingBytes(newGenesis(bench.context)))
  const started = performance.now()
  for (const bytes of operations)
    await bench.signer.sign(intentFor(bench, bytes), AbortSignal.timeout(5000))
  return { 1: count / ((performance.now() - started) / 1000) }
}

/** Where a signature's time goes, in mean milliseconds; the floor's uses of the key are among them. */
async function timeOfSteps({ context }: Bench): Promise<object> {
  const sums = new Map<string, number>()
  const counts = new Map<string, number>()
  const add = (to: Map<string, number>, name: string, value: number) =>
    to.set(name, (to.get(name) ?? 0) + value)
  for (const kind of ['step', 'key', 'action']) {
    const metric = context.metrics.registry.getSingleMetric(`holdfast_${kind}_seconds`)
    for (const entry of (await metric?.get())?.values ?? []) {
      const { labels, value, metricName = '' } = entry as typeof entry & { metricName?: string }
      const name = String(labels['step'] ?? labels['backend'] ?? labels['action'])
      if (metricName.endsWith('_sum')) add(sums, name, value)
      if (metricName.endsWith('_count')) add(counts, name, value)
    }
  }
  const means = [...sums].map(([name, sum]) => [
    name,
    round3((1_000 * sum) / (counts.get(name) ?? 0)),
  ])
  const steps: unknown = Object.fromEntries(means)
  return { mean_ms: JSON.stringify(steps) }
}

/** A benchmark's own intent, in a database that is thrown away: the service itself can make none. */
function intentFor({ context }: Bench, bytes: SigningBytes | undefined): CommittedIntent {
  const [key] = context.policies.keys
  return { authorized: { bytes, key } } as unknown as CommittedIntent
}

function newGenesis({ policies }: Context): PlcOperation {
  const [key] = policies.keys
  if (key === undefined) throw new Error('the development key is missing')
  return {
    type: 'plc_operation',
    rotationKeys: [key.did],
    verificationMethods: { atproto: key.did },
    alsoKnownAs: [`at://${randomBytes(10).toString('hex')}.bench.test`],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.bench.test' },
    },
    prev: null,
  }
}

/** Another implementation verifies every signature, and each has its intent and outcome on record. */
async function verifyAll(bench: Bench, doors: DoorRound[]): Promise<void> {
  const { db, policies } = bench.context
  const did = policies.keys[0]?.did ?? ''
  for (const { bytes, compact } of doors.flatMap((door) => door.signed)) {
    if (!(await verifyWithAtproto(did, bytes, compact)))
      throw new Error('a signature does not verify')
    const digest = createHash('sha256').update(bytes).digest()
    const [request] = await db.select().from(requests).where(eq(requests.digest, digest))
    if (request?.signature == null || !Buffer.from(request.signature).equals(compact)) {
      throw new Error('a signature is not on record')
    }
    const entries = await db
      .select({ kind: auditOutbox.kind })
      .from(auditOutbox)
      .where(eq(auditOutbox.subject, request.id))
    const kinds = entries.map((entry) => entry.kind)
    if (!kinds.includes('signature.intended') || !kinds.includes('signature.produced')) {
      throw new Error('a signature lacks its intent or its outcome')
    }
  }
}

async function durability({ pool }: Bench): Promise<object> {
  const show = async (name: string) =>
    String(
      Object.values((await pool.query<Record<string, string>>(`show ${name}`)).rows[0] ?? {})[0],
    )
  return {
    fsync: await show('fsync'),
    synchronous_commit: await show('synchronous_commit'),
    postgres: await show('server_version'),
  }
}

function median(values: number[]): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  )
}

function percentile(sorted: number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

const round1 = (value: number) => Math.round(value * 10) / 10
const round3 = (value: number) => Math.round(value * 1000) / 1000
