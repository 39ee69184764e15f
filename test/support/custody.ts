import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pool } from 'pg'
import { expect } from 'vitest'
import { enroll } from '../../src/custody/enroll.ts'
import type { EnrollOutcome } from '../../src/custody/enroll.ts'
import type { CustodyEvent } from '../../src/custody/events.ts'
import { createFindIdentity } from '../../src/custody/find-identity.ts'
import { createSignNow } from '../../src/custody/sign-now.ts'
import type { SignNowResult } from '../../src/custody/sign-now.ts'
import type { CustodyDeps } from '../../src/custody/ask.ts'
import type { PlcDirectory } from '../../src/directory/directory.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import { createSealer } from '../../src/sealing/sealer.ts'
import { createFileKey, openFileSigner } from '../../src/signer/file.ts'
import type { KeyFiles } from '../../src/signer/file.ts'
import type { Signer } from '../../src/signer/signer.ts'
import { createDatabase, createPool } from '../../src/store/database.ts'
import { createApprovalStore } from '../../src/store/approvals.ts'
import { createAccountSearch } from '../../src/store/enrolment-search.ts'
import { recordPolicies } from '../../src/store/policy-sets.ts'
import { createRequestStore } from '../../src/store/request-store.ts'
import type { RequestStore } from '../../src/custody/ports.ts'
import { createFakeDirectory } from './fake-directory.ts'
import { createFakePds } from './fake-pds.ts'
import { ofMovedTime } from './log-oracle.ts'
import { genesisOf, signedWith } from './operations.ts'
import type { Signed } from './operations.ts'
import { createTestDatabase, outsidePool } from './postgres.ts'
import { findingsOf } from './record-check.ts'
import type { Released } from './record-check.ts'
import type { Fault } from './signers.ts'
import { watchPool } from './watched-pool.ts'
import type { Watch } from './watched-pool.ts'

export type Custody = Awaited<ReturnType<typeof openCustody>>
export type As = {
  readonly caller?: string
  readonly key?: KeyConfig
  readonly directory?: PlcDirectory
}

type Options = {
  readonly recovery?: string
  readonly pds?: string
  /** Another policy, made from the shipped one. */
  readonly policy?: (shipped: string) => string
  /** roster.yaml, and who runs the program `pds`. */
  readonly roster?: string
  readonly operatedBy?: readonly string[]
}

const shippedPolicy = new URL('../../policies/policy.yaml', import.meta.url)

/**
 * Custody as the context builds it, with the shipped policy, real Postgres and real key files of both
 * curves; the directory is in memory, and a test may put faults before the keys and the pool.
 * Two callers, `pds` and `other`, may use the same keys.
 */
export async function openCustody(options: Options = {}) {
  const database = await createTestDatabase()
  const home = await mkdtemp(join(tmpdir(), 'holdfast-custody-'))
  const sealer = createSealer(randomBytes(32))
  const keys = await makeKeys({ dir: home, sealer })
  const policies = await policySetOf(keys.list, options)
  const watch: Watch = {}
  const pool = watchedPool(createPool(database.connection), watch)
  const outside = outsidePool(database)
  const db = createDatabase(pool)
  await recordPolicies(db, policies)
  const directory = createFakeDirectory()
  const events: CustodyEvent[] = []
  const released: Released[] = []
  const bench = benchOf(keys.signers)
  const pds = createFakePds()
  let started = createRequestStore(db, sealer)
  const store: RequestStore = {
    findOperation: async (cid) => await started.findOperation(cid),
    claim: async (input, judge) => await started.claim(input, judge),
    record: async (signature, signed) => await started.record(signature, signed),
    fail: async (intent, reason) => await started.fail(intent, reason),
    postpone: async (intent, reason) => await started.postpone(intent, reason),
    enroll: async (log, caller) => await started.enroll(log, caller),
  }
  const reading = {
    store,
    directory,
    verify: openVerifier().verify,
    policies,
    audience: 'http://localhost:2590',
    report: (event: CustodyEvent) => events.push(event),
  }
  const search = createAccountSearch(db, sealer)
  const finderIn = (asked: PlcDirectory) =>
    createFindIdentity({ ...reading, directory: asked, search, listAccounts: pds.list })
  const approvals = createApprovalStore(db, sealer)
  const deps: CustodyDeps = {
    ...reading,
    signers: bench.signers,
    findIdentity: finderIn(directory),
    isWitnessed: async () => false,
  }
  const [key, p256] = policies.keys as [KeyConfig, KeyConfig]

  /** Asks as the KMS door does, and keeps what was released for `check`. */
  async function ask(message: Uint8Array, as: As = {}): Promise<SignNowResult> {
    const { caller = 'pds', directory: asked = directory } = as
    const elsewhere = asked === directory ? {} : { findIdentity: finderIn(asked) }
    const signNow = createSignNow({ ...deps, directory: asked, ...elsewhere })
    const result = await signNow({ caller, key: as.key ?? key, message })
    const digest = createHash('sha256').update(message).digest('hex')
    if (result.kind === 'signed') released.push({ digest, compact: result.compact })
    return result
  }

  const sign = async (operation: UnsignedOperation, as: As = {}) =>
    await ask(signingBytes(operation), as)

  /** For what must be signed; the answer is the signed operation. */
  async function signed(operation: UnsignedOperation, as: As = {}): Promise<Signed> {
    const result = await sign(operation, as)
    if (result.kind !== 'signed') throw new Error(`not signed: ${JSON.stringify(result)}`)
    return signedWith(operation, result.compact, await didOf(pool, result.requestId))
  }

  return {
    database,
    db,
    pool,
    /** Who may change any row: an administrator, or somebody who became one. */
    outside,
    watch,
    deps,
    approvals,
    sealer,
    policies,
    key,
    p256,
    directory,
    pds,
    events,
    released,
    bench,
    ask,
    sign,
    signed,
    /** As a new process: knows nothing of what the one before it signed but by its rows. */
    restart(): void {
      started = createRequestStore(db, sealer)
    },
    /** A new account of ours, submitted to the directory as a PDS does. */
    async account(name: string, as: As = {}): Promise<Signed> {
      const account = await signed(genesisOf(name, [(as.key ?? key).did]), as)
      directory.submit(account)
      return account
    },
    enroll: async (did: string, caller = 'pds'): Promise<EnrollOutcome> =>
      await enroll(did, caller, deps),
    /** Fails the test unless the whole record is as it must be, for us and for an auditor. */
    async check({ movedTime = false } = {}): Promise<void> {
      const findings = await findingsOf(pool, released)
      expect(findings.filter((finding) => !movedTime || !ofMovedTime(finding))).toEqual([])
    },
    async close(): Promise<void> {
      await Promise.all([pool.end(), outside.end()])
      await database.drop()
      await rm(home, { recursive: true })
    },
  }
}

async function makeKeys(files: KeyFiles) {
  const list: KeyConfig[] = []
  const signers = new Map<string, Signer>()
  for (const [id, curve] of [
    ['pds', 'K-256'],
    ['pds-p256', 'P-256'],
  ] as const) {
    const did = (await createFileKey(files, id, curve)) ?? ''
    const uri = `file:${id}`
    const key: KeyConfig = { id, class: 'online', curve, did, uri, development: true }
    list.push(key)
    signers.set(id, await openFileSigner(files, { name: id, curve, did }))
  }
  return { list, signers }
}

async function policySetOf(
  keys: readonly object[],
  { recovery, pds, policy = (shipped) => shipped, roster, operatedBy }: Options,
) {
  const pinned =
    recovery === undefined
      ? keys
      : [...keys, { id: 'recovery', class: 'recovery', curve: 'K-256', did: recovery }]
  const online = ['pds', 'pds-p256']
  const callers = [
    {
      name: 'pds',
      keys: online,
      ...(pds === undefined ? {} : { pds }),
      ...(operatedBy === undefined ? {} : { operatedBy }),
    },
    { name: 'other', keys: online },
  ]
  return parsePolicySet({
    keys: JSON.stringify({ keys: 'holdfast/keys/v1', list: pinned }),
    callers: JSON.stringify({ callers: 'holdfast/callers/v1', list: callers }),
    policy: policy(await readFile(shippedPolicy, 'utf8')),
    ...(roster === undefined ? {} : { roster }),
  })
}

/** Counts every use of a key, and lets a test put a fault in the place of all of them. */
function benchOf(real: ReadonlyMap<string, Signer>) {
  const bench = { uses: 0, fault: null as Fault | null, signers: new Map<string, Signer>() }
  for (const [id, signer] of real) {
    const counted: Signer = {
      ...signer,
      async sign(intent, signal) {
        bench.uses += 1
        const used = bench.fault?.(signer) ?? signer
        return await used.sign(intent, signal)
      },
    }
    bench.signers.set(id, counted)
  }
  return bench
}

function watchedPool(pool: Pool, watch: Watch): Pool {
  pool.on('error', () => {})
  return watchPool(pool, {
    before: async (statement) => await watch.before?.(statement),
    after: async (statement) => await watch.after?.(statement),
  })
}

async function didOf(pool: Pool, requestId: string): Promise<string> {
  const { rows } = await pool.query<{ did: string }>('select did from requests where id = $1', [
    requestId,
  ])
  return rows[0]?.did ?? ''
}

/** The request that an answer names. */
export function idOf(result: SignNowResult): string {
  if ('requestId' in result && result.requestId !== null) return result.requestId
  throw new Error(`names no request: ${JSON.stringify(result)}`)
}
