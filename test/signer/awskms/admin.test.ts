import { randomBytes } from 'node:crypto'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ADMIN, missingForKms, REGION } from '../../support/kms-emulator/emulator.ts'
import { createTestDatabase } from '../../support/postgres.ts'
import { runCommand } from '../../support/run-command.ts'
import { ask } from '../pkcs11/ask.ts'
import { openBench } from './harness.ts'

// The commands with which a person makes keys in AWS KMS; the service itself makes none.

const missing = missingForKms()
let serial = 0

async function openCommands() {
  const bench = await openBench()
  const database = await createTestDatabase()
  onTestFinished(async () => await database.drop())
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-kms-keys-'))
  onTestFinished(async () => await rm(dir, { recursive: true }))
  const place = `awskms:///?region=${REGION}&endpoint=${encodeURIComponent(bench.proxy.url)}`
  const env = {
    HOLDFAST_DATA_DIR: join(dir, 'data'),
    DATABASE_URL: database.url,
    AWS_ACCESS_KEY_ID: ADMIN.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ADMIN.secretAccessKey,
    AWS_ENDPOINT_URL_KMS: 'http://127.0.0.1:1/kms',
  }
  const run = async (args: readonly string[], input?: string) =>
    await runCommand(['keys', ...args], {
      env,
      cwd: dir,
      ...(input === undefined ? {} : { input }),
    })
  return { ...bench, place, run, name: `key-${Date.now()}-${(serial += 1)}` }
}

type Made = { readonly did: string; readonly uri: string }

describe.skipIf(missing !== null)(`keys in AWS KMS (need ${missing ?? 'nothing more'})`, () => {
  test.each(['K-256', 'P-256'] as const)(
    'create makes a %s key that signs, once under each name, and list shows it',
    async (curve) => {
      const { run, place, name, open, k } = await openCommands()
      const create = ['create', name, '--kms', place, '--curve', curve, '--json']
      const { code, out, err } = await run(create)
      expect({ code, err }).toMatchObject({ code: 0 })
      const made = JSON.parse(out) as Made
      const key = { ...k, id: name, curve, did: made.did, uri: made.uri }
      expect(await ask(await open().openSigner(key), key)).toBe('signed')

      const again = await run(create)
      expect(again.code).toBe(1)
      expect(again.err).toContain('is there already')
      const found = JSON.parse((await run(['list', '--kms', place, '--json'])).out) as Made[]
      expect(found.filter(({ did }) => did === made.did)).toEqual([
        { name, did: made.did, uri: made.uri },
      ])
    },
  )

  test.each([
    ['K-256', Secp256k1Keypair],
    ['P-256', P256Keypair],
  ] as const)(
    'import puts an existing %s key there: the same did:key signs, and no word repeats the key',
    async (curve, Keypair) => {
      const { run, place, name, open, k } = await openCommands()
      const hex = randomBytes(32).toString('hex')
      const args = ['import', name, '--from', '-', '--kms', place, '--curve', curve, '--json']
      const { code, out, err } = await run(args, hex)
      expect(`${out}${err}`).not.toContain(hex)
      expect({ code, err }).toMatchObject({ code: 0 })
      const made = JSON.parse(out) as Made
      expect(made.did).toBe((await Keypair.import(hex)).did())
      const key = { ...k, id: name, curve, did: made.did, uri: made.uri }
      expect(await ask(await open().openSigner(key), key)).toBe('signed')
    },
  )

  test('create says what AWS says when it may not', async () => {
    const { run, place, name, proxy } = await openCommands()
    proxy.fault({ mode: 'answer', status: 400, type: 'AccessDeniedException' }, { on: 'CreateKey' })
    const { code, err } = await run(['create', name, '--kms', place])
    expect(code).not.toBe(0)
    expect(err).toContain('AccessDeniedException')
  })
})
