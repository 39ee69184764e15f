import { describe, expect, test } from 'vitest'
import { openVerifier } from '../../src/ecdsa/native.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import type { Backend, PlaceHealth, PlaceState } from '../../src/signer/backend.ts'
import { describeHealth } from '../../src/signer/backend.ts'
import { createBackends, nameOfHome } from '../../src/signer/backends.ts'
import { SignerError } from '../../src/signer/signer.ts'
import type { Signer } from '../../src/signer/signer.ts'

const key: KeyConfig = {
  id: 'pds',
  class: 'online',
  curve: 'K-256',
  did: 'did:key:zAny',
  uri: 'file:pds',
  development: false,
}

/** A backend that opens everything, and says what it opened and closed. */
function backendOf(deeds: string[], health: readonly PlaceHealth[] = []): Backend {
  return {
    openSigner: async (_key, uri) => {
      if (uri.includes('gone')) throw new SignerError('key-unusable', 'gone')
      deeds.push(`open ${uri}`)
      const signer: Signer = {
        sign: async () => ({ signature: new Uint8Array(), home: uri, requestId: null }),
        check: async () => {},
        close: async () => void deeds.push(`close ${uri}`),
      }
      return signer
    },
    health: () => health,
    close: async () => void deeds.push('close all'),
  }
}

const { verify } = openVerifier()
const backendsOf = (schemes: Record<string, Backend>) =>
  createBackends(schemes, { verify, onTakeOver: () => {} })

test('the scheme of the uri says which backend opens the key', async () => {
  const [files, tokens]: [string[], string[]] = [[], []]
  const backends = backendsOf({ file: backendOf(files), pkcs11: backendOf(tokens) })
  await backends.open(key)
  await backends.open({ ...key, uri: 'pkcs11:token=t;object=k' })
  expect([files, tokens]).toEqual([['open file:pds'], ['open pkcs11:token=t;object=k']])
  await backends.close()
  expect([files.at(-1), tokens.at(-1)]).toEqual(['close all', 'close all'])
})

test.each(['', 'pds', 'FILE:pds', ':pds', 'vault:pds', 'toString:pds', '__proto__:pds'])(
  'a uri like %j names no backend, and the error names the key and those that there are',
  async (uri) => {
    const backends = backendsOf({ file: backendOf([]) })
    await expect(backends.open({ ...key, uri })).rejects.toMatchObject({
      code: 'key-unusable',
      message: expect.stringMatching(/^keys\.yaml: key pds: uri .* known are file:$/),
    })
  },
)

test('every home is opened in its order; one that cannot be closes the others and stops it', async () => {
  const deeds: string[] = []
  const backends = backendsOf({ file: backendOf(deeds) })
  const homes = ['file:a', 'file:b']
  await backends.open({ ...key, uri: 'file:a', homes })
  expect(deeds.splice(0)).toEqual(['open file:a', 'open file:b'])
  const wrong = { ...key, uri: 'file:a', homes: ['file:a', 'file:gone'] }
  await expect(backends.open(wrong)).rejects.toThrow('gone')
  expect(deeds).toEqual(['open file:a', 'close file:a'])
})

test('a home is on record without what only its module needs', () => {
  expect(nameOfHome('pkcs11:token=t;object=k?module-path=/lib/x.so&pin-source=file:/p')).toBe(
    'pkcs11:token=t;object=k',
  )
  expect(nameOfHome('file:pds')).toBe('file:pds')
})

describe('health', () => {
  const place = (kind: PlaceState['kind'], keys = {}): PlaceHealth => ({
    place: 'prod',
    state: { kind, since: new Date(), message: 'at /etc/holdfast/pin', serial: '4711' },
    keys,
  })

  test.each([
    [[], 'all is well'],
    [[place('ready')], 'all is well'],
    [[place('ready'), place('reconnecting')], 'a place of a key is away'],
    [[place('unusable'), place('reconnecting')], 'cannot be used as it is configured'],
    [[place('latched'), place('unusable')], 'holdfast keys unlatch'],
    [[place('ready', { pds: 'missing' })], 'a key is missing from its place'],
  ])('of %j for anybody: %s, and no name', (places, words) => {
    const said = describeHealth(places)
    expect(said ?? 'all is well').toContain(words)
    expect(said ?? '').not.toMatch(/prod|4711|etc/)
  })

  test('names the backend of each place', () => {
    const backends = backendsOf({ pkcs11: backendOf([], [place('ready')]), file: backendOf([]) })
    expect(backends.health()).toMatchObject([{ backend: 'pkcs11', place: 'prod' }])
  })
})
