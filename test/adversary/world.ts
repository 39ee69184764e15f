import { createHash } from 'node:crypto'
import { createClient } from '../../src/client/client.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import { weigh } from '../../src/approval/weigh.ts'
import { verifyApproval } from '../../src/approval/verify.ts'
import type { RawApproval } from '../../src/approval/evidence.ts'
import type { Matter, Signatory } from '../../src/approval/matter.ts'
import { matterOf } from '../../src/approval/operation-matter.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { evaluate, limitedRules } from '../../src/policy/evaluate.ts'
import type { PreviousOperation } from '../../src/policy/facts.ts'
import { readPolicySet } from '../../src/policy-files.ts'
import { addCredential, revokeCredential } from '../../src/store/callers.ts'
import type { NewCredential } from '../../src/store/callers.ts'
import { readRequest } from '../../src/store/request-views.ts'
import { buildLog, keyNamed, verify } from '../plc/build-log.ts'
import { persons, rosterYaml } from '../policy/officers.ts'
import { movedTo, rekeyed } from '../support/approving.ts'
import { kmsCaller } from '../support/kms-caller.ts'
import type { KmsAnswer } from '../support/kms-caller.ts'
import { saidBy, withOfficers } from '../support/officers.ts'
import { genesisOf, renamed, tombstoneOf } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { outsidePool } from '../support/postgres.ts'
import { startService } from '../support/service.ts'

/** Something that must not be signed: who asks at the door for what, and why not. */
export type Probe = {
  readonly name: string
  readonly by: string
  readonly operation: UnsignedOperation
  /** What the bytes follow in truth. */
  readonly previous: PreviousOperation | null
  /** Operations of this identity, and uses of its rule, so far. */
  readonly spent?: number
  readonly said?: readonly RawApproval[]
  readonly asked?: { readonly id: string; readonly proposedAt: Date }
  /** Refused before any rule is looked at: the credential is nobody's, or the request has ended. */
  readonly ended?: string
}

export type World = Awaited<ReturnType<typeof openWorld>>

/** Which bytes by which key. */
export const pairOf = (bytes: Uint8Array, key: string): string =>
  `${createHash('sha256').update(bytes).digest('hex')} ${key}`

/**
 * The service with officers, and in it one of each thing that an attacker would like to have signed.
 * The older state of each table, from before officers spoke, is in the schema `older`.
 */
export async function openWorld() {
  /** Every use of a key, however it came about. */
  const used: string[] = []
  const service = await startService({
    officers: {
      roster: rosterYaml(Object.values(persons)),
      policy: (shipped) =>
        withOfficers(shipped).replace(
          '        - services.other\n    require: none',
          '        - services.other\n    require: none\n    limits: { perDid: 3/1d }',
        ),
    },
    wrapSigner: (signer) => ({
      ...signer,
      async sign(intent, signal) {
        const { bytes, key } = intent.authorized
        used.push(pairOf(bytes, key.id))
        return await signer.sign(intent, signal)
      },
    }),
  })
  const { context, directory } = service
  const { db, sealer } = context
  const outside = outsidePool(service.database)
  const policies = await readPolicySet(context.policiesDir)
  const roster = policies.roster!
  const key = policies.keys[0]!
  const gone = await addCredential(db, sealer, 'pds')
  const clients = new Map<string, HoldfastClient>()
  const tokens = new Map<string, string>()
  const doors = new Map<string, ReturnType<typeof kmsCaller>>()
  function letIn(name: string, credential: NewCredential): void {
    const bearer = `${credential.accessKeyId}.${credential.token}`
    tokens.set(name, bearer)
    clients.set(name, createClient({ url: service.url, credential: { bearer } }))
    doors.set(name, kmsCaller(`${service.url}/kms`, credential))
  }
  letIn('pds', service.pds)
  letIn('other', service.other)
  letIn('revoked', gone)

  const client = (name: string) => clients.get(name)!
  const propose = async (operation: UnsignedOperation, by = 'pds') =>
    await client(by).propose({ key: key.id, operation })
  async function signed(operation: UnsignedOperation, by = 'pds'): Promise<Signed> {
    const { id } = await propose(operation, by)
    const view = await client(by).sign(id)
    return { did: view.did!, cid: view.cid!, operation: view.signedOperation! }
  }
  async function account(name: string, by = 'pds'): Promise<Signed> {
    const made = await signed(genesisOf(name, [key.did]), by)
    show(made)
    return made
  }
  let shown = Date.now() - 3_600_000
  const nextTime = () => new Date((shown += 1_000))
  /** The directory has it, as after a PDS sent it. */
  function show(made: Signed, nullified = false): void {
    const entry = { ...made, operation: made.operation as never, createdAt: nextTime() }
    directory.load([{ ...entry, nullified }])
  }
  const truth = (of: Signed, owner = 'pds', ours = true): PreviousOperation => ({
    ...of,
    owner,
    nullified: false,
    recordedAt: ours ? new Date() : new Date('2026-01-01T00:00:00Z'),
    ours,
  })

  async function storedOf(id: string) {
    return (await readRequest(db, sealer, { caller: 'pds', id }))!.request
  }
  async function shownOf(id: string): Promise<Matter> {
    return (await context.showAsked(await storedOf(id)))!.matter
  }
  async function say(
    id: string,
    person: string,
    decision: 'approve' | 'reject',
    fields: Partial<Signatory> = {},
  ): Promise<RawApproval> {
    const raw = await saidBy(person, await shownOf(id), roster, { decision, ...fields })
    const result = await context.say({ requestId: id, officer: person, decision, raw })
    if (result.kind !== 'kept') throw new Error(JSON.stringify(result))
    return raw
  }

  // What is asked for.
  const mine = await account('mine')
  const theirs = await account('theirs', 'other')
  const patient = await account('patient')
  const full = await renamedOften('full', 3)
  async function renamedOften(name: string, times: number): Promise<Signed> {
    let last = await account(name)
    for (let n = 0; n < times; n += 1) {
      last = await signed(renamed(last, `${name}-${n}`))
      show(last)
    }
    return last
  }
  const elsewhere = await enrolled('elsewhere')
  async function enrolled(name: string): Promise<Signed> {
    const user = await keyNamed(`user of ${name}`)
    const [genesis] = await buildLog([user, { did: () => key.did }], user)
    show(genesis!)
    const outcome = await context.enroll(genesis!.did, 'pds')
    if (outcome.kind !== 'enrolled') throw new Error(JSON.stringify(outcome))
    return genesis!
  }

  const asks: Record<string, { id: string; of: Signed; operation: UnsignedOperation }> = {}
  for (const name of ['silent', 'half', 'refused', 'withdrawn', 'agreed', 'given', 'slow']) {
    const of = await account(name)
    const operation = name === 'slow' ? rekeyed(of) : movedTo(of, name)
    asks[name] = { id: (await propose(operation)).id, of, operation }
  }
  const waits = await propose(renamed(patient, 'waits'))
  await keepTables('older')

  const said = new Map<string, RawApproval[]>()
  const keep = (name: string, ...raws: RawApproval[]) =>
    said.set(name, [...(said.get(name) ?? []), ...raws])
  const ask = (name: string) => asks[name]!
  keep('half', await say(ask('half').id, 'alice', 'approve'))
  for (const name of ['refused', 'withdrawn', 'agreed', 'given']) {
    keep(name, await say(ask(name).id, 'alice', 'approve'))
    keep(name, await say(ask(name).id, 'carol', 'approve'))
  }
  keep('refused', await say(ask('refused').id, 'bob', 'reject'))
  keep('slow', await say(ask('slow').id, 'alice', 'approve'))
  await client('pds').cancel(ask('withdrawn').id)
  await client('pds').sign(ask('given').id)
  await revokeCredential(db, gone.accessKeyId)
  await settle()

  /** Sequences what waits, and looks at the log until signing is open. */
  async function settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn += 1) {
      await context.auditLog.look()
      while ((await context.auditLog.sequence()) > 0);
      await context.auditLog.look()
      if (context.auditLog.gate.cause() === null) return
    }
    throw new Error(`signing stays closed: ${context.auditLog.gate.cause()}`)
  }

  /** Looks at the log, which somebody has put back, until signing is open again. */
  async function reopen(): Promise<void> {
    for (let turn = 0; turn < 50; turn += 1) {
      await context.auditLog.look()
      if (context.auditLog.gate.cause() === null) return
    }
    throw new Error(`signing stays closed: ${context.auditLog.gate.cause()}`)
  }

  /** A copy of every table, which nothing of the service reads. */
  async function keepTables(schema: string): Promise<void> {
    const tables = await tableNames()
    await outside.query(`create schema ${schema}`)
    for (const table of tables) {
      await outside.query(`create table ${schema}.${table} as table public.${table}`)
    }
  }
  async function tableNames(): Promise<string[]> {
    const { rows } = await outside.query<{ name: string }>(
      `select table_name as name from information_schema.tables
       where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`,
    )
    return rows.map(({ name }) => name)
  }

  const waiting = async (name: string) => {
    const { id, of, operation } = ask(name)
    const { createdAt } = await storedOf(id)
    return {
      by: 'pds',
      operation,
      previous: truth(of),
      said: said.get(name) ?? [],
      asked: { id, proposedAt: createdAt },
    }
  }
  const probes: Probe[] = [
    {
      name: 'another caller’s identity',
      by: 'other',
      operation: renamed(mine, 'taken'),
      previous: truth(mine),
    },
    {
      name: 'an identity of the other caller',
      by: 'pds',
      operation: renamed(theirs, 'taken'),
      previous: truth(theirs, 'other'),
    },
    {
      name: 'the end of an account made elsewhere',
      by: 'pds',
      operation: tombstoneOf(elsewhere),
      previous: truth(elsewhere, 'pds', false),
    },
    { name: 'nobody has agreed', ...(await waiting('silent')) },
    { name: 'one of two has agreed', ...(await waiting('half')) },
    { name: 'an officer said no after two said yes', ...(await waiting('refused')) },
    { name: 'an hour is left of the delay', ...(await waiting('slow')) },
    {
      name: 'withdrawn after officers had agreed',
      ended: 'the caller has taken it back',
      ...(await waiting('withdrawn')),
    },
    {
      name: 'the limit for one identity is reached',
      by: 'pds',
      operation: renamed(full, 'once-more'),
      previous: truth(full),
      spent: 4,
    },
    {
      name: 'a revoked credential',
      by: 'revoked',
      operation: genesisOf('by-revoked', [key.did]),
      previous: null,
      ended: 'the credential is revoked',
    },
  ]
  const now = Date.now()

  /** What the original files and what officers signed say of a probe: the word of pure code, and no row. */
  async function mayBeSigned(probe: Probe): Promise<boolean> {
    if (probe.ended !== undefined) return false
    const { operation, previous, spent = 1 } = probe
    const subject = { caller: probe.by, key, operation, previous }
    const limited = limitedRules(subject, policies).map(({ id }) => id)
    const count = (value: number) => Object.fromEntries(limited.map((id) => [id, value]))
    const { decision } = evaluate({
      subject,
      policies,
      circumstances: {
        now: new Date(now),
        observedHead: operation.prev,
        operationCounts: { hour: spent, day: spent, week: spent },
        ruleCounts: count(0),
        didRuleCounts: count(spent - 1),
      },
    })
    if (decision.kind !== 'require') return decision.kind === 'allow'
    const matter = matterOf({
      subject,
      bytes: signingBytes(operation),
      decision,
      policies,
      audience: 'http://localhost:0',
      requester: { kind: 'caller', name: probe.by },
      proposedAt: probe.asked!.proposedAt,
    })
    const approvals = []
    for (const raw of probe.said ?? []) {
      approvals.push(await verifyApproval({ raw, rosters: [roster], verify }))
    }
    const clocks = { instance: new Date(), database: new Date() }
    const { requirements } = decision
    const { callers } = policies
    return weigh({ matter, requirements, approvals, roster, callers, clocks }).kind === 'met'
  }

  return {
    service,
    context,
    outside,
    used,
    policies,
    roster,
    key,
    probes,
    mayBeSigned,
    agreed: { ...(await waiting('agreed')), name: 'agreed' } satisfies Probe,
    asks,
    waits: { id: waits.id, operation: renamed(patient, 'waits') },
    mine,
    theirs,
    elsewhere,
    account,
    enrolled,
    show,
    signed,
    shownOf,
    letIn,
    client,
    settle,
    reopen,
    keepTables,
    tableNames,
    door: async (by: string, operation: UnsignedOperation): Promise<KmsAnswer> =>
      await doors.get(by)!.sign(operation),
    /** Signs a kept request by its id, without the patience of the client; null: not signed. */
    async execute(by: string, id: string): Promise<string | null> {
      const response = await fetch(`${service.url}/v1/requests/${id}/sign`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tokens.get(by)}` },
      })
      const view = (await response.json()) as { signature?: string | null }
      return response.ok ? (view.signature ?? null) : null
    },
    async close(): Promise<void> {
      for (const door of doors.values()) door.close()
      await outside.end()
      await service.stop()
    },
  }
}
