import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { chmod, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import { encodeEntry } from '../../src/audit/entry.ts'
import { readEnv, toConfig, toSecrets } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import type { Context } from '../../src/context.ts'
import { developmentCaller } from '../../src/development.ts'
import { startJobs } from '../../src/jobs.ts'
import { createLogger } from '../../src/logger.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { SigningBytes } from '../../src/plc/encode.ts'
import type { CommittedIntent, KeyUse, Signer } from '../../src/signer/signer.ts'
import { createPool } from '../../src/store/database.ts'
import { removeDataDir } from '../../test/support/data-dir.ts'

const CLIENTS = 32
const ROUNDS = 5
const CALLS = 1_500
const BULK = 200_000

/**
 * What the record costs the service, with sequencer and checkpointer running as they always do. Intent
 * and outcome transactions per second at 32 clients, beside the same code with nothing put into the
 * outbox; signatures are made beforehand, so that no key's work hides the difference. Then bulk appends,
 * and the time from an entry's commit to the signed checkpoint that covers it, under that load.
 */
export async function benchAuditService(): Promise<object> {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  await chmod(dataDir, 0o711)
  const bench = await openBench(dataDir)
  try {
    return await measure(bench)
  } finally {
    await bench.close()
    await removeDataDir(dataDir)
  }
}

type Bench = Awaited<ReturnType<typeof openBench>>

async function openBench(dataDir: string) {
  const outbox = { on: true }
  const signatures = new Map<string, KeyUse>()
  let pool: Pool | null = null
  let real: Signer | null = null
  const log = createLogger()
  log.level = 'error'
  const config = toConfig(readEnv({ HOLDFAST_DATA_DIR: dataDir }), dataDir)
  const context = await createContext({
    config,
    secrets: toSecrets({}),
    log,
    withSigners: true,
    overrides: {
      poolFor: (connection) => (pool = withOrWithout(createPool(connection), outbox)),
      wrapSigner: (signer) => {
        real = signer
        return { ...signer, sign: async ({ authorized }) => known(signatures, authorized.bytes) }
      },
    },
  })
  if (pool === null || real === null) throw new Error('the context made no pool or no signer')
  const jobs = startJobs(context, log)
  return {
    context,
    outbox,
    signatures,
    pool: pool as Pool,
    real: real as Signer,
    close: async () => {
      await jobs.stop()
      await context.close()
    },
  }
}

const nameOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function known(signatures: ReadonlyMap<string, KeyUse>, bytes: SigningBytes): KeyUse {
  const use = signatures.get(nameOf(bytes))
  if (use === undefined) throw new Error('was not signed beforehand')
  return use
}

/** Takes the insert out of the service's own statements while `on` is false. */
function withOrWithout(pool: Pool, outbox: { readonly on: boolean }): Pool {
  pool.on('connect', (client: PoolClient) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown
    const changed = (first: unknown, ...rest: unknown[]) =>
      query(outbox.on ? first : without(first), ...rest)
    Object.assign(client, { query: changed })
  })
  return pool
}

function without(statement: unknown): unknown {
  const { text, name } = (typeof statement === 'object' ? statement : {}) as Record<string, string>
  if (text?.includes('insert into audit_outbox (kind, subject, body)') !== true) return statement
  const stripped = text.replace(/insert into audit_outbox \(kind, subject, body\)/, '')
  // The same parameters must keep their types.
  return { ...(statement as object), name: `${name}_stripped`, text: stripped }
}

async function measure(bench: Bench): Promise<object> {
  await runRound(bench, true, 300)
  await runRound(bench, false, 300)
  const withEntries: number[] = []
  const withoutEntries: number[] = []
  const delays: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const sampling = new AbortController()
    const sampler = sampleDelays(bench, sampling.signal)
    withEntries.push(await runRound(bench, true, CALLS))
    sampling.abort()
    delays.push(...(await sampler))
    await drained(bench)
    withoutEntries.push(await runRound(bench, false, CALLS))
    process.stderr.write(
      `round ${round + 1}: ${withEntries.at(-1)?.toFixed(0)}/s, without entries ${withoutEntries.at(-1)?.toFixed(0)}/s\n`,
    )
  }
  const ratios = withEntries.map((rate, index) => rate / (withoutEntries[index] ?? Number.NaN))
  delays.sort((a, b) => a - b)
  const bulk = await runBulk(bench)
  return {
    transaction_cost: round3(1 - median(ratios)),
    transactions_per_s: Math.round(median(withEntries) * 2),
    transactions_per_s_without_entries: Math.round(median(withoutEntries) * 2),
    bulk_per_s: Math.round(bulk),
    checkpoint_p50_ms: Math.round(percentile(delays, 0.5)),
    checkpoint_p99_ms: Math.round(percentile(delays, 0.99)),
    checkpoint_samples: delays.length,
    clients: CLIENTS,
  }
}

/** @returns signatures per second: each is one intent and one outcome transaction's worth of work */
async function runRound(bench: Bench, on: boolean, count: number): Promise<number> {
  const messages = await presign(bench, count)
  const [key] = bench.context.policies.keys
  if (key === undefined) throw new Error('the development key is missing')
  bench.outbox.on = on
  let next = 0
  const started = performance.now()
  const worker = async () => {
    for (let message = messages[next++]; message !== undefined; message = messages[next++]) {
      const answer = await bench.context.signNow({ caller: developmentCaller, key, message })
      if (answer.kind !== 'signed') throw new Error(`not signed: ${JSON.stringify(answer)}`)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, worker))
  const seconds = (performance.now() - started) / 1000
  bench.outbox.on = true
  return count / seconds
}

async function presign({ context, real, signatures }: Bench, count: number) {
  signatures.clear()
  const messages: SigningBytes[] = []
  for (let made = 0; made < count; made++) {
    const bytes = signingBytes(newGenesis(context))
    // A benchmark's own intent, in a database that is thrown away.
    const intent = { authorized: { bytes } } as unknown as CommittedIntent
    signatures.set(nameOf(bytes), await real.sign(intent, AbortSignal.timeout(5000)))
    messages.push(bytes)
  }
  return messages
}

function newGenesis({ policies }: Context) {
  const did = policies.keys[0]?.did ?? ''
  return {
    type: 'plc_operation' as const,
    rotationKeys: [did],
    verificationMethods: { atproto: did },
    alsoKnownAs: [`at://${randomBytes(10).toString('hex')}.bench.test`],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.bench.test' },
    },
    prev: null,
  }
}

/** An entry at a time, found again by its look-up, until the signed checkpoint covers it. */
async function sampleDelays({ pool }: Bench, signal: AbortSignal): Promise<number[]> {
  const delays: number[] = []
  const sample = async () => {
    const subject = randomUUID()
    const revoked = {
      kind: 'caller.revoked',
      accessKeyId: subject,
      caller: 'bench',
      serial: 1,
    } as const
    const { kind, body } = encodeEntry(revoked, new Date())
    await pool.query(`insert into audit_outbox (kind, subject, body) values ($1, $2, $3)`, [
      kind,
      subject,
      Buffer.from(body),
    ])
    const committed = performance.now()
    for (;;) {
      const { rowCount } = await pool.query(
        `select from audit_entries, audit_checkpoint
         where look_up = $1 and audit_checkpoint.size > audit_entries.idx`,
        [`caller.revoked ${subject}`],
      )
      if (rowCount === 1) break
      await sleep(10)
    }
    delays.push(performance.now() - committed)
  }
  const under: Promise<void>[] = []
  while (!signal.aborted) {
    under.push(sample())
    await sleep(20)
  }
  await Promise.all(under)
  return delays
}

async function drained({ context, pool }: Bench): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ waiting: string; size: string }>(
      'select (select count(*) from audit_outbox) as waiting, size from audit_head',
    )
    const held = await context.auditLog.held.read()
    if (rows[0]?.waiting === '0' && held?.size === Number(rows[0].size)) return
    await sleep(10)
  }
}

/** From the commit of many entries to the checkpoint that has them all. */
async function runBulk(bench: Bench): Promise<number> {
  const before = await bench.context.auditLog.store.head()
  await bench.pool.query(
    `insert into audit_outbox (kind, subject, body)
     select 'did.enrolled', n::text, decode(repeat(md5(n::text), 38), 'hex') from generate_series(1, $1::int) n`,
    [BULK],
  )
  const sequenced = await bench.context.auditLog.store.head()
  const started = performance.now()
  await drained(bench)
  const seconds = (performance.now() - started) / 1000
  if (sequenced.range.size - before.range.size > BULK / 50) throw new Error('began too early')
  return BULK / seconds
}

const median = (values: readonly number[]) =>
  percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  )

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

const round3 = (value: number) => Math.round(value * 1000) / 1000
