// One way through a bundle in a process of its own, so that its memory and time are its own.
import { createRequire } from 'node:module'
import { hash } from 'node:crypto'
import { Secp256k1Keypair, verifySignature as verifyAtproto } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import { encode } from '@ipld/dag-cbor'
import { parseTrustCard } from '../../src/audit/trust-card.ts'
import { openBundle } from '../../src/bundle/open.ts'
import type { Bundle } from '../../src/bundle/open.ts'
import { openVerifier, opensslVerifier } from '../../src/ecdsa/native.ts'
import { openPrivateKey } from '../../src/ecdsa/private-key.ts'
import { judgeBundle } from '../../src/recovery/judge.ts'
import { verifyRecovery } from '../../src/recovery/result.ts'
import { trustIntent } from '../../src/recovery/trusted.ts'
import type { EcdsaVerify } from '../../src/plc/signature.ts'
import { parseSignature } from '../../src/plc/compact.ts'
import { parseRotationKey } from '../../src/plc/did-key.ts'
import { encodeSignedOperation, withoutSignature } from '../../src/plc/encode.ts'
import type { SignedOperation } from '../../src/plc/operation.ts'
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

type Row = { did: string; operation: SignedOperation; cid: string }

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
  const prepared = prepare(logs)
  const count = intent.operations.count
  const times = { own: [], naive: [], limit: [], openssl: [] } as Record<string, number[]>
  for (let round = 0; round < ROUNDS; round += 1) {
    times['own']!.push(await timed(async () => await own(verify)))
    times['openssl']!.push(await timed(async () => await own(opensslVerifier())))
    times['limit']!.push(await timed(async () => await limit(prepared)))
    times['naive']!.push(await timed(async () => await naive(logs)))
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

/** What somebody would write in an afternoon. */
async function naive(logs: readonly Row[][]): Promise<void> {
  const { lost, did: replacement, recovery } = bundle.intent
  const keypair = await Secp256k1Keypair.import(RECOVERY_SECRET)
  for (const rows of logs) {
    const operations = rows.map(({ operation }) => operation as plc.CompatibleOpOrTombstone)
    const data = await plc.validateOperationLog(rows[0]!.did, operations)
    if (data === null) throw new Error('a tombstone')
    const rotationKeys = data.rotationKeys.map((key) => (key === lost ? replacement : key))
    const last = operations.at(-1) as plc.CompatibleOp
    const signed = await plc.createUpdateOp(last, keypair, (op) => ({ ...op, rotationKeys }))
    const { sig, ...unsigned } = signed
    const bytes = new Uint8Array(Buffer.from(sig, 'base64url'))
    if (!(await verifyAtproto(recovery, encode(unsigned), bytes))) throw new Error('not verified')
  }
}

type Binding = {
  ecdsaVerify(compact: Uint8Array, digest: Uint8Array, key: Uint8Array): boolean
  ecdsaSign(digest: Uint8Array, secret: Uint8Array): { signature: Uint8Array }
}

/** The necessary curve operations and nothing else: one verification an operation, one signature, one of it. */
async function limit(prepared: readonly Prepared[][]): Promise<void> {
  const k256 = createRequire(import.meta.url)('secp256k1/bindings.js') as Binding
  const own = parseRotationKey(bundle.intent.recovery).publicKey
  for (const rows of prepared) {
    for (const { compact, digest, publicKey } of rows) {
      if (!k256.ecdsaVerify(compact, digest, publicKey)) throw new Error('not verified')
    }
    const { digest } = rows[0]!
    const { signature } = k256.ecdsaSign(digest, RECOVERY_SECRET)
    if (!k256.ecdsaVerify(signature, digest, own)) throw new Error('not verified')
  }
}

type Prepared = { compact: Uint8Array; digest: Uint8Array; publicKey: Uint8Array }

function prepare(logs: readonly Row[][]): Prepared[][] {
  const { publicKey } = parseRotationKey(bundle.intent.lost)
  return logs.map((rows) =>
    rows.map(({ operation }) => ({
      compact: parseSignature(operation.sig),
      digest: new Uint8Array(
        hash('sha256', withoutSignature(encodeSignedOperation(operation)), 'buffer'),
      ),
      publicKey,
    })),
  )
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
