import { randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { logForkDigest, parseLogFork } from '../../src/approval/log-fork.ts'
import type { Context } from '../../src/context.ts'
import { digestWords } from '../../src/words/words.ts'
import { startDirectory } from '../e2e/support/directory.ts'
import { appendEntries } from '../support/audit-log.ts'
import { beginWithOfficers, openOfficersHome } from '../support/officers-home.ts'
import type { OfficersHome } from '../support/officers-home.ts'
import { testServer } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { withService } from '../support/with-service.ts'

// Last night's backup in `env: prod`, and no export that has what is missing: officers decide that the log goes on.

let home: OfficersHome
let directory: Awaited<ReturnType<typeof startDirectory>>
let backup: string
let env: Record<string, string>
let vkey: string
let words: string

const run = async (args: readonly string[], input = ''): Promise<Ran> =>
  await runCommand([...args, '--json'], { env, cwd: home.dir, input })
const file = () => home.path('fork.json')
const fork = async () => await run(['audit', 'fork', file()])
const approve = async (person: string, typed = words) =>
  await run(['audit', 'fork', 'approve', file(), ...home.asOfficer(person)], `${typed}\n`)

async function administer(statement: string): Promise<void> {
  const admin = new Client((await testServer()).administrator)
  await admin.connect()
  await admin.query(statement)
  await admin.end()
}

/** Everything that waits is in the log and checkpointed. */
async function settle({ auditLog }: Context): Promise<string | null> {
  await auditLog.look()
  while ((await auditLog.sequence()) > 0);
  await auditLog.look()
  return auditLog.gate.cause()
}

const grow = async (entries: number) =>
  await withService({ env, dir: home.dir }, async (context) => {
    await appendEntries(context.db.$client, entries)
    return await settle(context)
  })

beforeAll(async () => {
  home = await openOfficersHome()
  directory = await startDirectory()
  env = { ...home.env, HOLDFAST_PLC_URL: directory.url }
  ;({ vkey } = await beginWithOfficers(home))
  const causes = [await grow(3)]
  backup = `backup_${randomBytes(8).toString('hex')}`
  const { connection, owner, url } = home.database
  await administer(`create database ${backup} template ${connection.database} owner ${owner.user}`)
  causes.push(await grow(3))
  if (causes.some((cause) => cause !== null)) throw new Error(causes.join())
  const older = new URL(url)
  older.pathname = `/${backup}`
  env = { ...env, DATABASE_URL: older.href }
})
afterAll(async () => {
  await directory.stop()
  await home.remove()
  await administer(`drop database ${backup} with (force)`)
})

describe('a log whose entries are lost for good', () => {
  test('signs nothing, and is not forked by an operator', async () => {
    const cause = await withService({ env, dir: home.dir }, settle)
    expect(cause).toContain('the database is behind the held record')
    expect(await run(['audit', 'fork', file(), '--proposer', 'alice'])).toMatchObject({ code: 0 })
    const request = parseLogFork(await readFile(file(), 'utf8'), 'fork.json')
    expect(request).toMatchObject({ env: 'prod', proposer: 'alice' })
    expect(request.from.size).toBeGreaterThan(request.had)
    words = digestWords(logForkDigest(request), 8).join(' ')
    const alone = await runCommand(['audit', 'fork', file()], {
      env,
      cwd: home.dir,
      input: `${words}\n`,
    })
    expect(alone).toMatchObject({ code: 1, err: expect.stringContaining('missing: 2 more of two') })
  })

  test('is forked by no one officer, who asks for it, or whose words are of something else', async () => {
    expect((await approve('bob', words.replace(/^\S+/, 'zoo'))).err).toContain('word 1')
    expect((await approve('alice')).err).toContain('asked for this')
    expect((await approve('zoe')).err).toContain('no active officer')
    expect(await approve('bob')).toMatchObject({ code: 0 })
    expect((await fork()).err).toContain('missing: 1 more of two: carol, dan')
    // The same loss, written otherwise: what Bob signed is about another text.
    const text = await readFile(file(), 'utf8')
    const { made } = JSON.parse(text) as { made: string }
    const other = made.replace(/\dZ$/, (end) => (end === '0Z' ? '1Z' : '0Z'))
    await writeFile(file(), text.replace(made, other))
    expect((await fork()).err).toContain('it is about something else')
    await writeFile(file(), text.replace('"audience": "', '"audience": "https://evil.example/'))
    expect((await fork()).err).toContain('is a request to another service')
    await writeFile(file(), text)
  })

  test('goes on by two of them, under a new name, and signs again', async () => {
    expect(await approve('carol')).toMatchObject({ code: 0 })
    const { code, out, err } = await fork()
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(await grow(2)).toBeNull()
    expect((await fork()).code).toBe(1)
    ;({ checkpointKey: vkey } = JSON.parse(out) as { checkpointKey: string })
  })

  test('tells an auditor who agreed, and stays incomplete for ever', async () => {
    const folder = home.path('export')
    expect(await run(['audit', 'export', folder])).toMatchObject({ code: 0 })
    const card = home.path('card.yaml')
    await writeFile(card, `trust: holdfast/trust/v1\nlog: "${vkey}"\n`)
    const kept = ['--trust', card, '--checkpoint', `${folder}/checkpoint`]
    const { code, out } = await run(['audit', 'verify', folder, ...kept])
    expect({ code, ...JSON.parse(out) }).toMatchObject({
      code: 2,
      verdict: 'incomplete',
      findings: [],
      missing: [{ message: expect.stringContaining('were given up for lost') }],
    })
    await rm(folder, { recursive: true })
  })
})
