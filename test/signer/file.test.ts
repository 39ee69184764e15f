import { copyFile, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { authorize } from '../../src/approval/authorize.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import { createSealer } from '../../src/sealing/sealer.ts'
import {
  createFileBackend,
  createFileKey,
  openFileSigner,
  readFileKeyDid,
} from '../../src/signer/file.ts'
import { verifyForRelease } from '../../src/signer/release.ts'
import type { CommittedIntent } from '../../src/signer/signer.ts'
import { genesisOf } from '../support/operations.ts'

// Software keys: sealed files that are never overwritten and hold the pinned key or nothing.

const sealer = createSealer(new Uint8Array(32).fill(1))
const unusable = { name: 'SignerError', code: 'key-unusable' }

let dir: string
let did: string
let serial = 0
let name: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-keys-'))
})
beforeEach(async () => {
  name = `key-${(serial += 1)}`
  did = (await createFileKey({ dir, sealer }, name, 'K-256')) ?? ''
})
afterAll(async () => await rm(dir, { recursive: true }))

const path = (of = name) => join(dir, `${of}.json`)
const open = async (
  changes: { name?: string; did?: string; curve?: 'K-256' | 'P-256'; sealer?: typeof sealer } = {},
) =>
  await openFileSigner(
    { dir, sealer: changes.sealer ?? sealer },
    { name: changes.name ?? name, curve: changes.curve ?? 'K-256', did: changes.did ?? did },
  )

function intentFor(key: KeyConfig): CommittedIntent {
  const authorized = authorize({
    decision: { kind: 'allow', rules: ['GENESIS'], limits: [] },
    requestId: 'a-request',
    bytes: signingBytes(genesisOf('file-key', [key.did])),
    key,
  })
  return { authorized, lease: 'a-lease' } as CommittedIntent
}

describe.each(['K-256', 'P-256'] as const)('a %s key', (curve) => {
  test('signs, and its signatures verify against its did', async () => {
    const id = `sign-${curve.toLowerCase()}`
    const made = (await createFileKey({ dir, sealer }, id, curve)) ?? ''
    const key: KeyConfig = {
      id,
      class: 'online',
      curve,
      did: made,
      uri: `file:${id}`,
      development: false,
    }
    const signer = await createFileBackend({ dir, sealer }).openSigner(key, key.uri ?? '')
    const intent = intentFor(key)
    const use = await signer.sign(intent, AbortSignal.timeout(1_000))
    const { compact } = await verifyForRelease(intent, use, verifyWithAtproto)

    expect(await verifyWithAtproto(made, intent.authorized.bytes, compact)).toBe(true)
    await expect(signer.check(AbortSignal.timeout(1_000))).resolves.toBeUndefined()
  })
})

describe('is never overwritten', () => {
  test('by another of its name', async () => {
    const before = await readFile(path(), 'utf8')

    expect(await createFileKey({ dir, sealer }, name, 'P-256')).toBeNull()
    expect(await readFile(path(), 'utf8')).toBe(before)
  })

  test('by twenty made at once: one of them is there, and no rest of the others', async () => {
    const made = await Promise.all(
      Array.from(
        { length: 20 },
        async () => await createFileKey({ dir, sealer }, `${name}-crowd`, 'K-256'),
      ),
    )
    const dids = made.filter((one) => one !== null)

    expect(dids).toHaveLength(1)
    expect(await readFileKeyDid({ dir, sealer }, `${name}-crowd`)).toBe(dids[0])
    expect((await readdir(dir)).filter((file) => !file.endsWith('.json'))).toEqual([])
  })
})

test('lies in a file that only its owner reads, and not in the clear', async () => {
  const text = await readFile(path(), 'utf8')
  const { sealed, ...rest } = JSON.parse(text) as Record<string, string>

  expect((await stat(path())).mode & 0o777).toBe(0o600)
  expect(rest).toEqual({ format: 'holdfast/file-key/v1', curve: 'K-256', did })
  expect(Buffer.from(sealed ?? '', 'base64')).toHaveLength(1 + 12 + 32 + 16)
})

describe('does not open', () => {
  test('for another pinned did, and says which it holds', async () => {
    const other = (await createFileKey({ dir, sealer }, `${name}-other`, 'K-256')) ?? ''

    await expect(open({ did: other })).rejects.toMatchObject({
      ...unusable,
      message: expect.stringMatching(new RegExp(`${did}.*${other}`)),
    })
  })

  test('for the other curve', async () => {
    await expect(open({ curve: 'P-256' })).rejects.toMatchObject(unusable)
  })

  test('with another secret, and names the setting', async () => {
    await expect(open({ sealer: createSealer(new Uint8Array(32).fill(2)) })).rejects.toMatchObject({
      ...unusable,
      message: expect.stringContaining('HOLDFAST_SECRET_FILE'),
    })
  })

  test('under another name', async () => {
    await copyFile(path(), path(`${name}-copy`))

    await expect(open({ name: `${name}-copy` })).rejects.toMatchObject(unusable)
  })

  test('when there is no file', async () => {
    await expect(open({ name: 'nowhere' })).rejects.toMatchObject({
      ...unusable,
      message: expect.stringContaining('nowhere.json'),
    })
  })

  const changes: Record<string, (file: Record<string, string>) => unknown> = {
    'another did in the file': (file) => ({ ...file, did: `${file['did']}x` }),
    'another curve in the file': (file) => ({ ...file, curve: 'P-256' }),
    'another format': (file) => ({ ...file, format: 'holdfast/file-key/v2' }),
    'an unknown field': (file) => ({ ...file, note: 'mine' }),
    'no sealed key': ({ sealed: _sealed, ...file }) => file,
    'a changed sealed key': (file) => ({
      ...file,
      sealed: `${file['sealed']?.startsWith('A') === true ? 'B' : 'A'}${file['sealed']?.slice(1)}`,
    }),
    'an empty sealed key': (file) => ({ ...file, sealed: '' }),
    'a list': (file) => [file],
  }
  test.each(Object.entries(changes))('with %s', async (_name, change) => {
    const file = JSON.parse(await readFile(path(), 'utf8')) as Record<string, string>
    await writeFile(path(), JSON.stringify(change(file)))

    await expect(open()).rejects.toMatchObject(unusable)
  })

  test('when it is no JSON', async () => {
    await writeFile(path(), 'not a key')

    await expect(open()).rejects.toMatchObject(unusable)
  })
})

test.each(['', '.', '..', '../pds', 'a/b', 'Pds', 'a b', '-a', 'a.json', 'a'.repeat(64)])(
  'a name like %j is no name',
  async (bad) => {
    await expect(createFileKey({ dir, sealer }, bad, 'K-256')).rejects.toMatchObject(unusable)
    await expect(open({ name: bad })).rejects.toMatchObject(unusable)
  },
)

test.each(['', 'pds', 'FILE:pds', 'file:', 'file:../pds', 'awskms-typo:x', 'file:pds/x'])(
  'a uri like %j names no backend',
  async (uri) => {
    const key: KeyConfig = {
      id: 'pds',
      class: 'online',
      curve: 'K-256',
      did,
      uri,
      development: true,
    }

    await expect(
      createFileBackend({ dir, sealer }).openSigner(key, uri ?? ''),
    ).rejects.toMatchObject({
      ...unusable,
      message: expect.stringContaining('pds'),
    })
  },
)
