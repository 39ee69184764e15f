import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { decodeTrust } from '../../src/trust/record.ts'
import { keyNamed } from '../plc/build-log.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { createTestDatabase, outsidePool } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { withService } from '../support/with-service.ts'

// What is in force, in `env: prod`, on a real Postgres and by the commands that operators type.

let dir: string
let database: TestDatabase
let env: Record<string, string>

const run = async (args: string[], input = ''): Promise<Ran> =>
  await runCommand([...args, '--json'], { env, cwd: dir, input })

async function json<T>(args: string[], input = ''): Promise<T> {
  const { code, out, err } = await run(args, input)
  if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}: ${err}`)
  return JSON.parse(out) as T
}

type Checked = { readonly policySet: string; readonly words: string }

const policyWith = async (op: string) =>
  await writeFile(
    join(dir, 'policies', 'policy.yaml'),
    `policy: holdfast/policy/v1
env: prod
rules:
  - { id: RULE, match: { op: [${op}], key: [online], diff: any }, require: none }
`,
  )

const asService = async <T>(use: (context: Context) => Promise<T>) =>
  await withService({ env, dir }, use)

const trustPart = async () =>
  await asService(async ({ policies, readiness }) => {
    const { parts, warnings } = await readiness()
    return {
      policySet: Buffer.from(policies.digest).toString('hex'),
      trust: parts['trust'],
      candidate: warnings.some((warning) => warning.includes('candidate')),
    }
  })

const checkpointFile = async () => {
  const folder = join(dir, 'data', 'checkpoint')
  const [name] = (await readdir(folder)).filter((each) => each.startsWith('held-'))
  return join(folder, name ?? '')
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-trust-'))
  database = await createTestDatabase()
  await mkdir(join(dir, 'policies'))
  await writeFile(join(dir, 'secret'), randomBytes(32), { mode: 0o600 })
  const did = (await keyNamed('recovery of trust')).did()
  await writeFile(
    join(dir, 'policies', 'keys.yaml'),
    `keys: holdfast/keys/v1\nlist:\n  - { id: recovery, class: recovery, curve: K-256, did: "${did}" }\n`,
  )
  await writeFile(join(dir, 'policies', 'callers.yaml'), 'callers: holdfast/callers/v1\nlist: []\n')
  await policyWith('genesis')
  env = {
    HOLDFAST_DATA_DIR: join(dir, 'data'),
    HOLDFAST_POLICIES_DIR: join(dir, 'policies'),
    HOLDFAST_SECRET_FILE: join(dir, 'secret'),
    HOLDFAST_PLC_URL: 'http://127.0.0.1:1',
    DATABASE_URL: database.url,
  }
})
afterAll(async () => {
  await database.drop()
  await rm(dir, { recursive: true })
})

describe('what is in force', () => {
  let first: Checked
  let second: Checked

  test('is nothing before trust init, and then what whoever sat there has read', async () => {
    first = await json<Checked>(['policy', 'check'])
    expect((await trustPart()).trust?.message).toContain('trust init')
    await json(['trust', 'init'], `${first.words}\n`)
    expect(await trustPart()).toMatchObject({ policySet: first.policySet, trust: { ok: true } })
  })

  test('stays in force when the files change: those are a candidate', async () => {
    await policyWith('update')
    second = await json<Checked>(['policy', 'check'])
    expect(await trustPart()).toEqual({
      policySet: first.policySet,
      trust: { ok: true, message: 'ready' },
      candidate: true,
    })
    expect(await json(['trust', 'show'])).toMatchObject({
      sequence: 1,
      inForce: { policySet: first.policySet },
      candidate: { policySet: second.policySet, words: second.words },
    })
  })

  test('is not changed by the words of something else', async () => {
    const { code, err } = await run(['policy', 'adopt'], `${first.words}\n`)
    expect(code).toBe(1)
    expect(err).toContain('is another one')
    expect((await trustPart()).policySet).toBe(first.policySet)
  })

  test('is the candidate once its words are typed; whoever runs meanwhile stops', async () => {
    await asService(async ({ readiness, db, auditLog }) => {
      expect((await readiness()).parts['trust']?.ok).toBe(true)
      await json(['policy', 'adopt'], `${second.words}\n`)
      const { parts } = await readiness()
      expect(parts['trust']).toMatchObject({ ok: false })
      expect(parts['trust']?.message).toContain('restart')
      // One entry and one alarm for each change.
      const { rows } = await db.$client.query<{ count: string }>(
        `select count(*) from audit_outbox where kind = 'trust.changed'`,
      )
      expect(Number(rows[0]?.count)).toBeGreaterThanOrEqual(1)
      const told = await db.$client.query(`select from notices where event = 'trust-changed'`)
      expect(told.rowCount).toBe(2)
      expect(decodeTrust((await auditLog.held.read())!.trust!).sequence).toBe(2)
    })
    expect(await trustPart()).toMatchObject({ policySet: second.policySet, candidate: false })
  })

  test('is not what a row of the database says', async () => {
    await policyWith('genesis')
    const outside = outsidePool(database)
    const { rowCount } = await outside.query(
      `update policy_sets set set = set || '\\x00'::bytea where digest = '\\x${second.policySet}'`,
    )
    await outside.end()
    expect(rowCount).toBe(1)
    await expect(trustPart()).rejects.toThrow(/bring those files back/)
    await policyWith('update')
    expect(await trustPart()).toMatchObject({ policySet: second.policySet, trust: { ok: true } })
  })

  test('is the old set for a process that died after the entry and before the record', async () => {
    await policyWith('genesis, update')
    const third = await json<Checked>(['policy', 'check'])
    const path = await checkpointFile()
    const copy = join(dir, 'copy')
    await copyFile(path, copy)
    await json(['policy', 'adopt'], `${third.words}\n`)
    // As if the record had never been written.
    await rm(await checkpointFile())
    await copyFile(copy, path)
    expect(await trustPart()).toMatchObject({ policySet: second.policySet, candidate: true })
    await json(['policy', 'adopt'], `${third.words}\n`)
    expect(await trustPart()).toMatchObject({ policySet: third.policySet, candidate: false })
    expect(await readFile(path, 'utf8').catch(() => null)).toBeNull()
  })

  test('is told of before it is so, and again when an earlier set comes back', async () => {
    const outside = outsidePool(database)
    const alarms = async () => {
      const { rows } = await outside.query<{ subject: string }>(
        `select subject from notices where event = 'trust-changed' order by subject`,
      )
      return rows.map(({ subject }) => subject.split(' ').slice(0, 2))
    }
    const change = (sequence: number, { policySet }: Checked) => [String(sequence), policySet]
    await policyWith('update')
    const before = await alarms()
    // Where the alarm cannot be written, the record stays as it is.
    await outside.query('alter table notices rename to notices_away')
    expect((await run(['policy', 'adopt'], `${second.words}\n`)).code).toBe(3)
    await outside.query('alter table notices_away rename to notices')
    expect(await json(['trust', 'show'])).toMatchObject({ sequence: 3 })
    await json(['policy', 'adopt'], `${second.words}\n`)
    expect(await json(['trust', 'show'])).toMatchObject({
      sequence: 4,
      inForce: { policySet: second.policySet },
    })
    expect(await alarms()).toEqual([...before, change(4, second)])
    expect(before).toContainEqual(change(2, second))
    await outside.end()
  })

  test('never becomes development', async () => {
    const path = join(dir, 'policies', 'policy.yaml')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace('env: prod', 'env: dev'))
    expect(await trustPart()).toMatchObject({ trust: { ok: true }, candidate: true })
    const { words } = await json<Checked>(['policy', 'check'])
    const { code, err } = await run(['policy', 'adopt'], `${words}\n`)
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringContaining('this log is one of prod'),
    })
  })
})
