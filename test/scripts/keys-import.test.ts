import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createSealer } from '../../src/sealing/sealer.ts'
import { openFileSigner } from '../../src/signer/file.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'

// The key that a PDS holds in the clear today. Wherever it goes wrong, it is never repeated.

let database: TestDatabase
let dir: string
let hex: string
let did: string

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => await database.drop())
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-import-'))
  hex = randomBytes(32).toString('hex')
  did = (await Secp256k1Keypair.import(hex)).did()
})
afterEach(async () => await rm(dir, { recursive: true }))

async function run(args: readonly string[], input?: string): Promise<Ran> {
  const env = { HOLDFAST_DATA_DIR: join(dir, 'data'), DATABASE_URL: database.url }
  const ran = await runCommand(['keys', 'import', ...args], {
    env,
    cwd: dir,
    ...(input === undefined ? {} : { input }),
  })
  expect(`${ran.out}${ran.err}`.toLowerCase()).not.toContain(hex)
  return ran
}

async function file(content: string): Promise<string> {
  const path = join(dir, 'pds-key')
  await writeFile(path, content)
  return path
}

const keyFiles = async () => await readdir(join(dir, 'data/keys')).catch(() => [])

async function signerFor(name: string, curve: 'K-256' | 'P-256', pinned: string) {
  const sealer = createSealer(await readFile(join(dir, 'data/secret')))
  return await openFileSigner({ dir: join(dir, 'data/keys'), sealer }, { name, curve, did: pinned })
}

describe('a key from a PDS', () => {
  test('on standard input is sealed, and the line that pins it says that it was exposed', async () => {
    const { code, out } = await run(['old-pds', '--from', '-'], hex)
    expect(code).toBe(0)
    expect(out).toContain(
      `  - { id: old-pds, class: online, curve: K-256, did: "${did}", uri: "file:old-pds", exposed: true }`,
    )
    expect(await signerFor('old-pds', 'K-256', did)).toBeDefined()
    const path = join(dir, 'data/keys/old-pds.json')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path, 'latin1')).not.toContain(hex)
  })

  test.each([
    ['with the end of its line', (text: string) => `${text}\n`],
    ['as Windows ends a line', (text: string) => `${text}\r\n`],
    ['in upper case', (text: string) => text.toUpperCase()],
  ])('from a file %s is the same key', async (_how, written) => {
    const { code, out } = await run(['old-pds', '--from', await file(written(hex)), '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual({
      id: 'old-pds',
      curve: 'K-256',
      did,
      uri: 'file:old-pds',
      exposed: true,
    })
  })

  test('may be a P-256 key', async () => {
    const p256 = (await P256Keypair.import(hex)).did()
    const { code, out } = await run(['p256', '--from', '-', '--curve', 'P-256', '--json'], hex)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ curve: 'P-256', did: p256 })
    expect(await signerFor('p256', 'P-256', p256)).toBeDefined()
  })
})

const order = 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'
const broken: Record<string, (text: string) => string> = {
  'one digit short': (text) => text.slice(1),
  'one digit long': (text) => `${text}0`,
  'with 0x': (text) => `0x${text}`,
  'with a space before it': (text) => ` ${text}`,
  'with two line ends': (text) => `${text}\n\n`,
  'with another line': (text) => `${text}\nPDS_PORT=2583`,
  'as a line of the environment': (text) => `PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX=${text}`,
  'with a digit that is none': (text) => `${text.slice(1)}g`,
  'with letters that only look alike': (text) => `${text.slice(2)}ａａ`,
  'of zeros': () => '0'.repeat(64),
  'that is the order of the curve': () => order,
  'above the order of the curve': () => 'f'.repeat(64),
  'of nothing': () => '',
  'in base64': (text) => Buffer.from(text, 'hex').toString('base64'),
}

test.each(Object.entries(broken))(
  'a key %s is refused: exit 1, and nothing is written',
  async (_how, breaks) => {
    const { code, err } = await run(['old-pds', '--from', '-'], breaks(hex))
    expect(code).toBe(1)
    expect(err).toMatch(/private key/)
    expect(await keyFiles()).toEqual([])
  },
)

test('the largest key and the smallest are keys', async () => {
  const largest = `${order.slice(0, -1)}0`
  const smallest = `${'0'.repeat(63)}1`
  expect((await run(['largest', '--from', '-'], largest)).code).toBe(0)
  expect((await run(['smallest', '--from', '-'], smallest)).code).toBe(0)
})

test('a name that is taken is refused, and the key that has it stays', async () => {
  await run(['old-pds', '--from', '-'], hex)
  const { code, err } = await run(['old-pds', '--from', '-'], randomBytes(32).toString('hex'))
  expect(code).toBe(1)
  expect(err).toContain('file:old-pds is there already')
  expect(await signerFor('old-pds', 'K-256', did)).toBeDefined()
})

test('a key that is there under another name is refused, and that name is told', async () => {
  await run(['old-pds', '--from', '-'], hex)
  const { code, err } = await run(['again', '--from', '-'], hex)
  expect(code).toBe(1)
  expect(err).toContain('file:old-pds is there already')
  expect(await keyFiles()).toEqual(['old-pds.json'])
})

describe('in the wrong place, the key is not repeated: exit 2', () => {
  const misplaced: Record<string, (text: string) => string[]> = {
    'as an argument': (text) => ['old-pds', text, '--from', '-'],
    'as the name': (text) => [text, '--from', '-'],
    'as the file': (text) => ['old-pds', '--from', text],
    'without a source': () => ['old-pds'],
    'with a curve that is none': () => ['old-pds', '--from', '-', '--curve', 'ed25519'],
  }

  test.each(Object.entries(misplaced))('%s', async (_where, args) => {
    const { code } = await run(args(hex), '')
    expect(code).toBe(2)
    expect(await keyFiles()).toEqual([])
  })
})
