import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PoolClient } from 'pg'
import type { Matter, Signatory } from '../../src/approval/matter.ts'
import { requestStates } from '../../src/custody/request.ts'
import { encodeSignedOperation, signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { keyNamed } from '../plc/build-log.ts'
import { saidBy } from '../support/officers.ts'
import { genesisOf, renamed, signBy, updateOf } from '../support/operations.ts'
import { attacksOn, attacksOnTable, columnsOf } from './tamper.ts'
import type { Attack, Column } from './tamper.ts'
import { openWorld, pairOf } from './world.ts'
import type { World } from './world.ts'

// Somebody may write anything into Postgres: rows, columns, whole tables, without constraints and
// triggers. Whatever they write, no key is used for anything that the original files and what officers
// signed do not allow. To roll back the whole database is the audit log's business.

/**
 * Columns whose change makes a key be used for more, each with its reason; everything else is judged
 * alike, a column that is added tomorrow too.
 * - `operations.nullified` is what the directory said last. Where our key could rewrite history by it,
 *   the directory is read again; elsewhere the directory refuses what would be signed (last test).
 */
const believed = ['operations.nullified']

let world: World
let columns: Column[]
/** What may be signed, computed before anything is touched, by pure code from files and signatures. */
const allowed = new Set<string>()
/** Tables in which the log watches for any change. */
const watchedTables = ['audit_entries', 'audit_tiles']

beforeAll(async () => {
  world = await openWorld()
  columns = await columnsOf(world.outside)
  for (const pair of world.used) allowed.add(pair)
  for (const operation of [world.waits.operation, world.agreed.operation]) {
    allowed.add(pairOf(signingBytes(operation), world.key.id))
  }
  await loosen()
  await world.settle()
  await world.keepTables('kept')
}, 60_000)
afterAll(async () => await world.close())

/** Takes away what would only be in an attacker's way. */
async function loosen(): Promise<void> {
  for (const { table, column, isKey } of columns) {
    if (!isKey) await world.outside.query(`alter table ${table} alter ${column} drop not null`)
  }
  await world.outside.query(`
    drop index requests_one_live_per_prev, requests_one_live_genesis, caller_credentials_serial`)
}

async function asAttacker(work: (client: PoolClient) => Promise<void>): Promise<void> {
  const client = await world.outside.connect()
  try {
    await client.query(
      'begin; set local session_replication_role = replica; set local synchronous_commit = off',
    )
    await work(client)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

const guardsOff = watchedTables.map((table) => `alter table ${table} disable trigger all`)
const guardsOn = watchedTables.flatMap((table) => [
  `alter table ${table} enable always trigger ${table}_rows`,
  `alter table ${table} enable always trigger ${table}_truncate`,
])

async function restore(withLog: boolean): Promise<void> {
  const tables = (await world.tableNames()).filter(
    (table) => withLog || !watchedTables.includes(table),
  )
  const back = tables.map(
    (name) => `delete from ${name}; insert into ${name} select * from kept.${name}`,
  )
  await asAttacker(async (client) => {
    await client.query((withLog ? [...guardsOff, ...back, ...guardsOn] : back).join('; '))
  })
}

async function strike({ name, table, run }: Attack): Promise<void> {
  const withLog = watchedTables.includes(table)
  await asAttacker(async (client) => {
    if (withLog) await client.query(guardsOff.join('; '))
    await run(client)
    if (withLog) await client.query(guardsOn.join('; '))
  })
  const ofLog = table.startsWith('audit_')
  if (ofLog) await world.context.auditLog.look()
  try {
    await drive(name, table)
  } finally {
    await restore(withLog)
    if (ofLog) await world.reopen()
  }
}

/** Where a change may make another request one that could be signed by its id. */
const aboutRequests = ['requests', 'quorums', 'approvals', 'operations', 'identities', 'inserted']

/** Asks for all of it, at the door, and by the ids of what is kept. */
async function drive(attack: string, table: string): Promise<void> {
  const { rows } = await world.outside.query<{ id: string }>(
    `(select id from requests where state in ('proposed', 'approved', 'signing') limit 12)
     union all (select id from requests where state = 'returned' order by created_at desc limit 2)`,
  )
  const others = aboutRequests.includes(table) ? rows : []
  const ids = new Set([...Object.values(world.asks), world.waits, ...others].map(({ id }) => id))
  await Promise.all([
    ...world.probes.map(async ({ by, operation }) => await world.door(by, operation)),
    ...[...ids].map(async (id) => await world.execute('pds', id)),
    world.execute('other', world.waits.id),
    world.execute('other', world.asks['given']!.id),
  ])
  expect({ attack, released: releasedBeyond() }).toEqual({ attack, released: [] })
}

/** What keys were used for since the last look, and may not be. */
function releasedBeyond(): string[] {
  const beyond = world.used.splice(0).filter((pair) => !allowed.has(pair))
  return beyond.map((pair) => {
    const probe = world.probes.find(
      ({ operation }) => pairOf(signingBytes(operation), world.key.id) === pair,
    )
    return probe?.name ?? pair
  })
}

describe('before anything is touched', () => {
  test('the original files and what officers signed allow none of it', async () => {
    const verdicts = await Promise.all(world.probes.map(async (probe) => world.mayBeSigned(probe)))
    expect(verdicts).toEqual(world.probes.map(() => false))
    expect(await world.mayBeSigned(world.agreed)).toBe(true)
  })

  test('the service signs none of it, and does sign what officers agreed to', async () => {
    const answers = await Promise.all(
      world.probes.map(async ({ by, operation }) => await world.door(by, operation)),
    )
    expect(answers.map(({ status }) => status)).toEqual(world.probes.map(() => 400))
    expect(releasedBeyond()).toEqual([])
    expect(await world.door('pds', world.agreed.operation)).toMatchObject({ status: 200 })
    await restore(false)
  })
})

describe('no key is used for more', () => {
  test('whatever happens to any column of any table', async () => {
    const touched = columns.filter(({ table, column }) => !believed.includes(`${table}.${column}`))
    for (const attack of touched.flatMap(attacksOn)) await strike(attack)
    expect(touched.length).toBe(columns.length - believed.length)
  }, 300_000)

  test('whatever table is emptied, or brought back as it was', async () => {
    const tables = await world.tableNames()
    for (const attack of tables.flatMap(attacksOnTable)) await strike(attack)
    expect(tables.length).toBeGreaterThan(20)
  }, 120_000)
})

describe('what somebody inserts', () => {
  const insert = async (name: string, run: (client: PoolClient) => Promise<void>) =>
    await strike({ name, table: 'inserted', run })
  const rowOf = async (table: string, where: string) => {
    const { rows } = await world.outside.query<Record<string, unknown>>(
      `select * from ${table} where ${where}`,
    )
    return rows[0]!
  }
  const add = async (client: PoolClient, table: string, row: Record<string, unknown>) => {
    const names = Object.keys(row)
    await client.query(
      `insert into ${table} (${names.join(', ')}) values (${names.map((_, n) => `$${n + 1}`).join(', ')})`,
      Object.values(row).map((value) =>
        typeof value === 'object' && value?.constructor === Object ? JSON.stringify(value) : value,
      ),
    )
  }
  const token = randomBytes(32).toString('base64url')
  const tokenHash = createHash('sha256').update(token).digest()

  test('a credential of their own lets nobody in', async () => {
    const genuine = await rowOf('caller_credentials', `caller = 'pds' limit 1`)
    const accessKeyId = 'HFAKFORGEDFORGEDFORG'
    world.letIn('forged', { caller: 'pds', accessKeyId, token, secretAccessKey: token })
    await asAttacker(async (client) => {
      const row = { ...genuine, access_key_id: accessKeyId, serial: 99, token_hash: tokenHash }
      await add(client, 'caller_credentials', row)
    })
    const genesis = genesisOf('forged', [world.key.did])
    await expect(
      world.client('forged').propose({ key: 'pds', operation: genesis }),
    ).rejects.toThrow('internal')
    expect((await world.door('forged', genesis)).status).not.toBe(200)
    await restore(false)
    expect(releasedBeyond()).toEqual([])
  })

  test('an operation of their own is nothing to follow', async () => {
    const key = await keyNamed('forger')
    const forged = await signBy(key, genesisOf('forged', [world.key.did]), world.theirs.did)
    const genuine = await rowOf('operations', `cid = '${world.theirs.cid}'`)
    await asAttacker(async (client) => {
      const bytes = Buffer.from(encodeSignedOperation(forged.operation))
      await add(client, 'operations', { ...genuine, cid: forged.cid, bytes })
    })
    expect((await world.door('other', renamed(forged, 'forged-2'))).status).not.toBe(200)
    await restore(false)
    expect(releasedBeyond()).toEqual([])
  })

  test('a request of their own is not signed by its id', async () => {
    const genuine = await rowOf('requests', `id = '${world.waits.id}'`)
    const unsigned = Buffer.from(signingBytes(renamed(world.elsewhere, 'chosen')))
    const digest = createHash('sha256').update(unsigned).digest()
    const id = randomUUID()
    await asAttacker(async (client) => {
      await add(client, 'requests', { ...genuine, id, unsigned, digest, state: 'approved' })
    })
    expect(await world.execute('pds', id)).toBeNull()
    await restore(false)
    expect(releasedBeyond()).toEqual([])
  })

  test('a question of their own is none that officers were asked', async () => {
    const { id, of } = world.asks['agreed']!
    const unsigned = Buffer.from(signingBytes(renamed(of, 'chosen')))
    await insert('the bytes below an approved request', async (client) => {
      const digest = createHash('sha256').update(unsigned).digest()
      await client.query('update requests set unsigned = $2, digest = $3 where id = $1', [
        id,
        unsigned,
        digest,
      ])
    })
    expect(releasedBeyond()).toEqual([])
  })

  const changes: Record<string, Partial<Signatory> & { matter?: Partial<Matter> }> = {
    'in production': { matter: { env: 'prod' } },
    'to another service': { matter: { audience: 'https://other.example.com' } },
    'of other bytes': { matter: { request: new Uint8Array(32) } },
    'for another key': {
      matter: { key: 'did:key:zQ3shP2mWsZYWgvZM9GJ3EvMfRXQJwuTh6BdXLvJB9gFhT3Lr' },
    },
    'on another head': { matter: { head: null } },
    'under another policy': { matter: { policy: { rules: ['MOVE'], digest: new Uint8Array(32) } } },
    'under another rule': {
      matter: { policy: { rules: ['ACCOUNT'], digest: new Uint8Array(32) } },
    },
    'asked for by somebody else': { matter: { requester: { kind: 'person', id: 'dora' } } },
    'of an older question': {
      matter: { terms: { approveBy: 1, executeBy: 2, delay: 0, within: 1 } },
    },
    'as an operator': { role: 'operator' },
    'under the next officers': { roster: { epoch: 2, digest: new Uint8Array(32) } },
    'under the name of another': { person: 'bob' },
    'of what was shown otherwise': { matter: { display: 'nothing changes' } },
    'made in the future': { notBefore: Math.floor(Date.now() / 1000) + 3_600 },
  }
  test.each(Object.entries(changes))('an approval %s counts for nothing', async (_name, change) => {
    const { matter = {}, ...own } = change
    const { id } = world.asks['half']!
    const about = { ...(await world.shownOf(id)), ...matter }
    const raw = await saidBy('carol', about, world.roster, own)
    await insert('an approval', async (client) => {
      await add(client, 'approvals', {
        request_id: id,
        person: 'carol',
        decision: 'approve',
        statement: Buffer.from(raw.statement),
        evidence: Buffer.from(raw.evidence),
        nonce: randomBytes(16),
        recorded_at: new Date(),
      })
    })
    expect(releasedBeyond()).toEqual([])
  })

  test('approvals of one request are not those of another', async () => {
    await insert('approvals moved', async (client) => {
      await client.query('update approvals set request_id = $2 where request_id = $1', [
        world.asks['agreed']!.id,
        world.asks['silent']!.id,
      ])
    })
    expect(releasedBeyond()).toEqual([])
  })
})

describe('one signature for one prev', () => {
  let accounts = 0
  const changes = [
    'delete from requests where id = $1',
    ...requestStates
      .filter((state) => state !== 'returned')
      .map((state) => `update requests set state = '${state}' where id = $1`),
    'update requests set signature = null where id = $1',
    `update requests set produced_at = produced_at - interval '61 seconds' where id = $1`,
    'update requests set produced_at = null where id = $1',
    `update requests set did = 'did:plc:other' where id = $1`,
    'update requests set prev = null where id = $1',
    `update requests set digest = '' where id = $1`,
    `update requests set caller = 'other' where id = $1`,
  ]
  test.each(changes)('after %s', async (change) => {
    const account = await world.account(`rival-${(accounts += 1)}`)
    expect((await world.door('pds', renamed(account, 'first'))).status).toBe(200)
    const { rows } = await world.outside.query<{ id: string }>(
      `select id from requests where state = 'returned' order by produced_at desc limit 1`,
    )
    world.used.length = 0
    await world.outside.query(change, [rows[0]!.id])
    const second: UnsignedOperation = renamed(account, 'second')
    expect((await world.door('pds', second)).status).not.toBe(200)
    expect(world.used).toEqual([])
    await restore(false)
  })
})

test('people are told which row was changed, and the service goes on', async () => {
  const { did } = world.mine
  await world.outside.query(`update identities set caller = 'other' where did = $1`, [did])
  expect(await world.door('pds', renamed(world.mine, 'told'))).toMatchObject({ status: 500 })
  const told = world.service.lines.filter(({ event }) => event === 'row-tampered').at(-1)
  expect(told).toMatchObject({ alarm: true, msg: expect.stringContaining(did) })
  await restore(false)
  expect(await world.door('pds', renamed(world.mine, 'goes-on'))).toMatchObject({ status: 200 })
})

test('an operation that is no longer called nullified is followed by what the directory refuses', async () => {
  const user = await keyNamed('user of forked')
  const genesis = await world.enrolled('forked')
  const ours = await world.signed(renamed(genesis, 'forked-ours'))
  const theirs = await signBy(user, updateOf(genesis, { alsoKnownAs: [] }), genesis.did)
  world.show(ours, true)
  world.show(theirs)
  await world.context.enroll(genesis.did, 'pds')
  const next = renamed(ours, 'forked-next')
  expect(await world.door('pds', next)).toMatchObject({ code: 'AccessDeniedException' })

  await world.outside.query('update operations set nullified = false where cid = $1', [ours.cid])
  const { id } = await world.client('pds').propose({ key: 'pds', operation: next })
  expect(await world.execute('pds', id)).not.toBeNull()
  const refused = await world
    .client('pds')
    .submit(id)
    .catch((error: Error) => error.message)
  expect(JSON.stringify(refused)).toMatch(/refused|stale|head/)
})
