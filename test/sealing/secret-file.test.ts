import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { toConfig } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import { doorsOf } from '../../src/doors.ts'
import { addCredential } from '../../src/store/callers.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// The secret is made once. Later a missing or wrong one stops the start, and nothing is made anew.

const main = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))
const log = pino({ level: 'silent' })

let database: TestDatabase
let dataDir: string
let secretFile: string

beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'holdfast-secret-'))
  secretFile = join(dataDir, 'secret')
})
afterEach(async () => await rm(dataDir, { recursive: true }))
afterAll(async () => await database.drop())

/** A start up to open doors, and its end. */
async function start(settings: { HOLDFAST_SECRET_FILE?: string } = {}): Promise<void> {
  const context = await createContext({
    config: toConfig({ HOLDFAST_DATA_DIR: dataDir, ...settings }, dataDir),
    secrets: { databaseUrl: database.url, databaseOwnerUrl: null, checkpointStoreUrl: null },
    log,
    withSigners: true,
  })
  try {
    await doorsOf(context, log)
  } finally {
    await context.close()
  }
}

/** What lies in the data directory, with the content of the keys. */
async function contents(): Promise<Record<string, string>> {
  const names = await readdir(dataDir, { recursive: true })
  const files = names.filter((name) => name !== 'secret' && /\.(json|yaml)$/.test(name)).toSorted()
  return Object.fromEntries(
    await Promise.all(
      files.map(async (name) => [name, await readFile(join(dataDir, name), 'utf8')] as const),
    ),
  )
}

test('the first start makes it: 32 bytes that only the owner reads; the next ones use it', async () => {
  await start()
  const made = await readFile(secretFile)
  await start()

  expect(made).toHaveLength(32)
  expect((await stat(secretFile)).mode & 0o777).toBe(0o600)
  expect(await readFile(secretFile)).toEqual(made)
})

test('two first starts at once make one', async () => {
  await Promise.all([start(), start()])
  await start()

  expect((await readdir(dataDir)).filter((name) => name.startsWith('secret'))).toEqual(['secret'])
  expect(Object.keys(await contents())).toContain('keys/pds.json')
})

const wrong: Record<string, () => Promise<void>> = {
  'another one': async () => await writeFile(secretFile, randomBytes(32)),
  'one with a bit changed': async () => {
    const secret = await readFile(secretFile)
    secret[31] = (secret[31] ?? 0) ^ 1
    await writeFile(secretFile, secret)
  },
  'a missing one beside existing keys': async () => await rm(secretFile),
  'an empty one': async () => await writeFile(secretFile, ''),
  'one of 31 bytes': async () =>
    await writeFile(secretFile, (await readFile(secretFile)).subarray(1)),
  'one of 33 bytes': async () =>
    await writeFile(secretFile, Buffer.concat([await readFile(secretFile), Buffer.of(10)])),
  'one that others can read': async () => await chmod(secretFile, 0o644),
  'a folder in its place': async () => {
    await rm(secretFile)
    await mkdir(secretFile, { mode: 0o700 })
  },
}

test.each(Object.entries(wrong))('%s stops the start by its name', async (_name, spoil) => {
  await start()
  const before = await contents()
  await spoil()

  await expect(start()).rejects.toThrow('HOLDFAST_SECRET_FILE')
  expect(await contents()).toEqual(before)
})

test('put back, it opens everything again', async () => {
  await start()
  await rename(secretFile, `${secretFile}.away`)
  await expect(start()).rejects.toThrow('HOLDFAST_SECRET_FILE')
  await rename(`${secretFile}.away`, secretFile)

  await expect(start()).resolves.toBeUndefined()
})

test('a file that is named and missing is never made, not even by a first start', async () => {
  const named = join(dataDir, 'elsewhere')

  await expect(start({ HOLDFAST_SECRET_FILE: named })).rejects.toThrow('HOLDFAST_SECRET_FILE')
  await expect(stat(named)).rejects.toThrow('ENOENT')
})

test('a wrong one is noticed by the credentials too, before a door opens', async () => {
  const foreign = await mkdtemp(join(tmpdir(), 'holdfast-secret-other-'))
  const config = toConfig({ HOLDFAST_DATA_DIR: foreign }, foreign)
  const secrets = { databaseUrl: database.url, databaseOwnerUrl: null, checkpointStoreUrl: null }
  const other = await createContext({ config, secrets, log, withSigners: true })
  await addCredential(other.db, other.sealer, 'pds')
  await other.close()
  await rm(foreign, { recursive: true })

  await expect(start()).rejects.toThrow('HOLDFAST_SECRET_FILE')
  await database.drop()
  database = await createTestDatabase()
})

test('the service itself ends with a code and a line that names it', async () => {
  await start()
  await writeFile(secretFile, randomBytes(32))
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(
      process.execPath,
      [main, 'serve'],
      {
        env: {
          PATH: process.env['PATH'],
          HOLDFAST_DATA_DIR: dataDir,
          HOLDFAST_PORT: '0',
          DATABASE_URL: database.url,
        },
      },
      (error, _stdout, stderr) => resolve({ code: error?.code, stderr }),
    )
  })

  expect([2, 3]).toContain(code)
  expect(stderr).toContain('HOLDFAST_SECRET_FILE')
})
