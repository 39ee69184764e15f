import { randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyNamed } from '../plc/build-log.ts'
import { createEmptyDatabase } from '../support/empty-database.ts'
import { kmsCaller } from '../support/kms-caller.ts'
import { genesisOf } from '../support/operations.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'

// docs/operations.md, *Going to production*, step by step on an empty database.

let dir: string
let database: TestDatabase
let env: Record<string, string>
let recovery: string
/** The line for auditors. */
let vkey: string

const run = async (...args: string[]): Promise<Ran> => await runCommand(args, { env, cwd: dir })

async function json<T>(...args: string[]): Promise<T> {
  const { code, out, err } = await run(...args, '--json')
  if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}: ${err}`)
  return JSON.parse(out) as T
}

const policyFile = async (name: string, text: string) =>
  await writeFile(join(dir, 'policies', name), text)

const pinned = (did: string) => `keys: holdfast/keys/v1
list:
  - { id: pds, class: online, curve: K-256, did: "${did}", uri: "file:pds" }
  - { id: recovery, class: recovery, curve: K-256, did: "${recovery}" }
`

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-prod-'))
  database = await createEmptyDatabase()
  recovery = (await keyNamed('recovery of production')).did()
  await mkdir(join(dir, 'policies'))
  await writeFile(join(dir, 'secret'), randomBytes(32), { mode: 0o600 })
  await policyFile('keys.yaml', 'keys: holdfast/keys/v1\nlist: []\n')
  await policyFile('callers.yaml', 'callers: holdfast/callers/v1\nlist: []\n')
  await policyFile(
    'policy.yaml',
    `policy: holdfast/policy/v1
env: prod
rules:
  - { id: GENESIS, match: { op: [genesis], key: [online], diff: any }, require: none }
`,
  )
  env = {
    HOLDFAST_DATA_DIR: join(dir, 'data'),
    HOLDFAST_POLICIES_DIR: join(dir, 'policies'),
    HOLDFAST_SECRET_FILE: join(dir, 'secret'),
    HOLDFAST_PLC_URL: 'http://127.0.0.1:1',
    HOLDFAST_PORT: '0',
    DATABASE_URL: database.url,
  }
})
afterAll(async () => {
  await database.drop()
  await rm(dir, { recursive: true })
})

describe('the way to production', () => {
  test('an old schema stops the start and names the command', async () => {
    const { code, err } = await run('serve')
    expect(code).not.toBe(0)
    expect(err).toContain('scripts/holdfast migrate')
  })

  test('the owner brings the schema up to date', async () => {
    const owner = new URL(database.url)
    owner.username = database.owner.user
    const asOwner = { ...env, DATABASE_OWNER_URL: owner.href }
    expect(await runCommand(['migrate'], { env: asOwner, cwd: dir })).toMatchObject({ code: 0 })
  })

  test('a key is made and pinned, and a caller granted it', async () => {
    const { did } = await json<{ did: string }>('keys', 'create', 'pds')
    expect(did).toMatch(/^did:key:zQ3s/)
    await policyFile('keys.yaml', pinned(did))
    await policyFile(
      'callers.yaml',
      'callers: holdfast/callers/v1\nlist:\n  - { name: pds, keys: [pds] }\n',
    )
  })

  test('before trust init nothing is signed, and readyz says why', async () => {
    const service = await serve()
    const response = await fetch(`${service.url}/readyz`)
    expect(response.status).toBe(503)
    expect(await response.text()).toContain('trust init')
    await service.stop()
  })

  test('trust init begins the log, once', async () => {
    const { words } = await json<{ words: string }>('policy', 'check')
    const init = async (typed: string) =>
      await runCommand(['trust', 'init', '--json'], { env, cwd: dir, input: `${typed}\n` })
    const wrong = await init(words.replace(/^\w+/, 'zebra'))
    expect(wrong).toMatchObject({ code: 1, out: '' })
    expect(wrong.err).toContain('word 1 is another one')
    const { out } = await init(words)
    const made = JSON.parse(out) as { vkey: string; origin: string; policySet: string }
    expect(made.vkey.startsWith(`${made.origin}+`)).toBe(true)
    vkey = made.vkey
    expect(await init(words)).toMatchObject({ code: 1 })
    expect(await json('trust', 'show')).toMatchObject({
      env: 'prod',
      sequence: 1,
      inForce: { policySet: made.policySet, words, roster: null },
      frozen: [],
      candidate: null,
    })
  })

  test('then it signs, and an export verifies under the printed key', async () => {
    const credential = await json<{ accessKeyId: string; secretAccessKey: string }>(
      'callers',
      'add',
      'pds',
    )
    const service = await serve()
    const kms = kmsCaller(service.url, credential)
    const [key] = await json<{ did: string }[]>('keys', 'list')
    const answer = await kms.sign(genesisOf('production', [recovery, key?.did ?? '']))
    expect(answer).not.toHaveProperty('code')
    kms.close()
    await service.stop()
    const folder = join(dir, 'export')
    expect(await run('audit', 'export', folder)).toMatchObject({ code: 0 })
    const card = join(dir, 'card.yaml')
    await writeFile(card, `trust: holdfast/trust/v1\nlog: "${vkey}"\nwitnesses: []\n`)
    const verify = ['audit', 'verify', folder, '--trust', card]
    // Without a state of the log from the auditor's own hands its end could have been cut off.
    expect(await run(...verify)).toMatchObject({ code: 2 })
    const kept = join(folder, 'checkpoint')
    expect(await run(...verify, '--checkpoint', kept)).toMatchObject({ code: 0 })
    const other = vkey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')
    await writeFile(card, `trust: holdfast/trust/v1\nlog: "${other}"\nwitnesses: []\n`)
    expect((await run(...verify, '--checkpoint', kept)).code).not.toBe(0)
  })
})

async function serve() {
  const main = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))
  const child = spawn(process.execPath, [main, 'serve'], {
    env: { PATH: process.env['PATH'], ...env },
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  let logged = ''
  child.stderr.on('data', (chunk: Buffer) => (logged += chunk.toString()))
  const ended = once(child, 'exit').then(() => null)
  for (;;) {
    const data = await Promise.race([once(child.stdout, 'data'), ended])
    if (data === null) throw new Error(`the service did not start:\n${printed}\n${logged}`)
    printed += String((data as [Buffer])[0])
    const url = /Holdfast is at (http\S+)/.exec(printed)?.[1]
    if (url === undefined) continue
    return {
      url,
      stop: async () => {
        child.kill('SIGTERM')
        await ended
      },
    }
  }
}
