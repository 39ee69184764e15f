import { createHash, randomBytes } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { combine } from 'shamir-secret-sharing'
import { beforeAll, describe, expect, test } from 'vitest'
import { checkShare } from '../../src/ceremony/dealing.ts'
import type { Dealing } from '../../src/ceremony/dealing.ts'
import { decodeShare, encodeShare, wrapperDigest } from '../../src/ceremony/share.ts'
import type { Share } from '../../src/ceremony/share.ts'
import { combineShares, dealShares } from '../../src/ceremony/shares.ts'
import type { Opening } from '../../src/ceremony/shares.ts'
import { openPrivateKey, randomSecret } from '../../src/ecdsa/private-key.ts'

// The library that interpolates takes whatever it is given and answers with some secret. What must be
// noticed is noticed here, by name.

const names = ['anna', 'ben', 'cleo', 'dan', 'eva']
const didOf = async (secret: Uint8Array) => (await openPrivateKey('K-256', secret)).did

type Split = { secret: Uint8Array; did: string; shares: Share[]; dealing: Dealing }

async function deal(fields: { t?: number; env?: Share['env']; secret?: Uint8Array } = {}) {
  const { t = 3, env = 'prod', secret = randomSecret('K-256') } = fields
  const did = await didOf(secret)
  const ids = { set: Uint8Array.from(randomBytes(16)), ceremony: Uint8Array.from(randomBytes(16)) }
  const shares = await dealShares(secret, { ...ids, env, t, did, epoch: 3, custodians: names })
  return { secret, did, shares, dealing: dealingOf(shares) } satisfies Split
}

/** What the transcript says of these shares; its proof is for those who read it from a file. */
function dealingOf(shares: readonly Share[]): Dealing {
  const [first] = shares
  if (first === undefined) throw new Error('no shares')
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return {
    format: 'holdfast/dealing/v1',
    env: first.env,
    did: first.did,
    set: hex(first.set),
    ceremony: hex(first.ceremony),
    threshold: first.t,
    epoch: first.epoch,
    made: '2026-03-01T12:00:00.000Z',
    retires: [],
    shares: shares.map((share) => ({
      x: share.x,
      custodian: share.custodian,
      recipient: '',
      wrapper: hex(wrapperDigest(share)),
      sealed: '',
    })),
    proof: '',
  }
}

let key: Split
let other: Split
beforeAll(async () => {
  key = await deal()
  other = await deal()
})

const opening = (fields: Partial<Opening> = {}): Opening => ({
  env: 'prod',
  dealing: key.dealing,
  retired: [],
  did: key.did,
  didOf,
  ...fields,
})
const pick = (split: Split, ...indices: number[]) => indices.map((index) => split.shares[index]!)
const threes = [0, 1, 2, 3, 4].flatMap((a) =>
  [0, 1, 2, 3, 4].flatMap((b) => [0, 1, 2, 3, 4].map((c) => [a, b, c] as const)),
)
const combinations = threes.filter(([a, b, c]) => a < b && b < c)

describe('a key split among five', () => {
  test.each(combinations)('comes back from the shares %i, %i and %i', async (...indices) => {
    expect(await combineShares(pick(key, ...indices), opening())).toEqual(key.secret)
  })

  test('comes back in any order, from more than are needed, and without the transcript', async () => {
    expect(await combineShares(pick(key, 4, 0, 2), opening())).toEqual(key.secret)
    expect(await combineShares(key.shares, opening())).toEqual(key.secret)
    expect(await combineShares(pick(key, 1, 3, 4), opening({ dealing: null }))).toEqual(key.secret)
  })

  test('has shares of its own, each with its x and custodian, and none is the key', () => {
    expect(new Set(key.shares.map(({ x }) => x)).size).toBe(5)
    expect(key.shares.map(({ custodian }) => custodian)).toEqual(names)
    for (const { x, y, t, n } of key.shares) {
      expect([x > 0, t, n]).toEqual([true, 3, 5])
      expect(y).not.toEqual(key.secret)
    }
  })

  test.each([
    { t: 2, env: 'prod' },
    { t: 5, env: 'rehearsal' },
  ] as const)('works for any threshold: $t of 5 ($env)', async ({ t, env }) => {
    const split = await deal({ t, env })
    const wanted = opening({ env, dealing: split.dealing, did: split.did })
    expect(await combineShares(split.shares.slice(5 - t), wanted)).toEqual(split.secret)
  })
})

/** A wrapper whose digest fits, with a field that is another: what a custodian could forge. */
const forged = (fields: Partial<Share>, index = 1): Share => ({ ...key.shares[index]!, ...fields })

describe('refused by name', () => {
  test('SHARE_BELOW_THRESHOLD: two of three, with who is missing', async () => {
    const error = combineShares(pick(key, 0, 3), opening())
    await expect(error).rejects.toMatchObject({ code: 'SHARE_BELOW_THRESHOLD' })
    await expect(error).rejects.toThrow('have 2 shares, need 3; still to come: ben, cleo, eva')
  })

  test('SHARE_BELOW_THRESHOLD: also without the transcript, and for no share at all', async () => {
    const bare = opening({ dealing: null })
    await expect(combineShares(pick(key, 2), bare)).rejects.toThrow('have 1 share, need 3')
    await expect(combineShares([], opening())).rejects.toThrow('have 0 shares, need 3')
    await expect(combineShares([], bare)).rejects.toMatchObject({ code: 'SHARE_BELOW_THRESHOLD' })
  })

  test('SHARE_CORRUPT: any changed bit of a wrapper, naming x and custodian', () => {
    const wrapped = encodeShare(key.shares[1]!)
    let named = 0
    for (let bit = 0; bit < 8 * wrapped.length; bit += 1) {
      const changed = Uint8Array.from(wrapped)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      const error = errorOf(() => decodeShare(changed))
      expect(['SHARE_CORRUPT', 'SHARE_X_ZERO']).toContain(error.code)
      if (error.share.custodian === 'ben' && error.share.x === key.shares[1]?.x) named += 1
    }
    // All but those in the names of fields, in the shape, and in x and custodian themselves.
    expect(named).toBeGreaterThan(8 * (32 + 32 + 16 + 16))
  })

  test.each<[string, (body: Record<string, unknown>) => unknown]>([
    ['a field more', (body) => ({ ...body, note: 'x' })],
    ['a field less', (body) => without(body, 'epoch')],
    ['another version', (body) => ({ ...body, v: 2 })],
    ['a shorter y', (body) => ({ ...body, y: new Uint8Array(31) })],
    ['an x beyond 255', (body) => ({ ...body, x: 256 })],
    ['a threshold of 1', (body) => ({ ...body, t: 1 })],
    ['a threshold above n', (body) => ({ ...body, t: 5, n: 4 })],
    ['an environment of its own', (body) => ({ ...body, env: 'dev' })],
    ['a list', () => []],
  ])('SHARE_CORRUPT: %s, though its digest fits', (_what, change) => {
    const { digest: _, ...body } = dagCbor.decode(encodeShare(key.shares[1]!)) as Record<
      string,
      unknown
    >
    expect(errorOf(() => decodeShare(withDigest(change(body)))).code).toBe('SHARE_CORRUPT')
  })

  test('SHARE_CORRUPT: bytes behind it, or none', () => {
    const wrapped = encodeShare(key.shares[1]!)
    for (const bytes of [
      Buffer.concat([wrapped, Buffer.of(0)]),
      wrapped.subarray(1),
      Buffer.alloc(0),
    ]) {
      expect(errorOf(() => decodeShare(bytes)).code).toBe('SHARE_CORRUPT')
    }
    expect(errorOf(() => decodeShare(Buffer.alloc(5000))).code).toBe('SHARE_CORRUPT')
  })

  test('SHARE_X_ZERO: which would dictate the key', async () => {
    const chosen = randomBytes(32)
    const evil = withDigest({ v: 1, ...forged({ x: 0, y: Uint8Array.from(chosen) }) })
    const error = errorOf(() => decodeShare(evil))
    expect(error).toMatchObject({ code: 'SHARE_X_ZERO', share: { x: 0, custodian: 'ben' } })
    // What the library makes of it, and why it is refused before.
    const points = [...pick(key, 0, 2)].map(({ x, y }) => Uint8Array.of(...y, x))
    const given = await combine([...points, Uint8Array.of(...chosen, 0)])
    expect(Buffer.from(given)).toEqual(chosen)
  })

  test('SHARE_NOT_IN_SET: a share that fits in everything but what was dealt', async () => {
    const y = Uint8Array.from(randomBytes(32))
    for (const share of [forged({ y }), forged({ x: unusedX() }), forged({ custodian: 'eva' })]) {
      const { x, custodian } = share
      const some = [key.shares[0]!, share, key.shares[2]!]
      const error = combineShares(some, opening())
      await expect(error).rejects.toMatchObject({
        code: 'SHARE_NOT_IN_SET',
        share: { x, custodian },
      })
    }
  })

  test('SHARE_DUPLICATE: the same share twice, or two with one x', async () => {
    const twice = combineShares(pick(key, 0, 1, 1), opening())
    await expect(twice).rejects.toMatchObject({
      code: 'SHARE_DUPLICATE',
      share: { custodian: 'ben' },
    })
    const same = [...pick(key, 0, 2), forged({ x: key.shares[0]!.x })]
    await expect(combineShares(same, opening({ dealing: null }))).rejects.toThrow(
      /SHARE_DUPLICATE: the share of ben, x \d+: it is there already, from anna/,
    )
  })

  test('SHARE_MIXED_SET: a share of another split, even of the same key', async () => {
    const again = await deal({ secret: key.secret })
    for (const { shares } of [other, again]) {
      const mixed = [...pick(key, 0, 1), shares[4]!]
      for (const dealing of [key.dealing, null]) {
        const error = combineShares(mixed, opening({ dealing }))
        await expect(error).rejects.toMatchObject({
          code: 'SHARE_MIXED_SET',
          share: { custodian: 'eva', x: shares[4]?.x },
        })
      }
    }
  })

  test('SHARE_MIXED_SET: a share that claims another threshold', async () => {
    const some = [...pick(key, 0, 2), forged({ t: 2 })]
    const error = combineShares(some, opening({ dealing: null }))
    await expect(error).rejects.toMatchObject({
      code: 'SHARE_MIXED_SET',
      share: { custodian: 'ben' },
    })
  })

  test('SHARE_WRONG_KEY: the shares of another key, naming both keys', async () => {
    const error = combineShares(pick(other, 0, 1, 2), opening({ dealing: null }))
    await expect(error).rejects.toMatchObject({ code: 'SHARE_WRONG_KEY' })
    await expect(error).rejects.toThrow(`${other.did}, but ${key.did} is pinned`)
  })

  test('SHARE_WRONG_KEY: a forged one among enough, and among the spares by its name', async () => {
    const bare = opening({ dealing: null })
    const bad = forged({ y: Uint8Array.from(randomBytes(32)) })
    await expect(combineShares([...pick(key, 0, 2), bad], bare)).rejects.toThrow(
      /SHARE_WRONG_KEY: the shares of anna \(x \d+\), cleo \(x \d+\), ben \(x \d+\) give/,
    )
    await expect(combineShares([...pick(key, 0, 2, 3), bad], bare)).rejects.toMatchObject({
      code: 'SHARE_WRONG_KEY',
      share: { custodian: 'ben' },
    })
  })

  test('SHARE_WRONG_ENV: a rehearsal share in earnest, and a real one in a rehearsal', async () => {
    const rehearsal = await deal({ env: 'rehearsal', secret: key.secret })
    const earnest = combineShares([...pick(key, 0, 1), rehearsal.shares[3]!], opening())
    await expect(earnest).rejects.toMatchObject({
      code: 'SHARE_WRONG_ENV',
      share: { custodian: 'dan' },
    })
    const drill = combineShares(key.shares, opening({ env: 'rehearsal' }))
    await expect(drill).rejects.toThrow('it is for prod; this is rehearsal')
  })

  test('SHARE_RETIRED: a share of a set that a later split replaced', async () => {
    const later = await deal({ secret: key.secret })
    const dealing = { ...later.dealing, retires: [key.dealing.set] }
    const error = combineShares([...pick(later, 0, 1), key.shares[2]!], opening({ dealing }))
    await expect(error).rejects.toMatchObject({
      code: 'SHARE_RETIRED',
      share: { custodian: 'cleo' },
    })
    const listed = opening({ dealing: null, retired: [key.dealing.set] })
    await expect(combineShares(key.shares, listed)).rejects.toMatchObject({ code: 'SHARE_RETIRED' })
  })
})

describe('a share alone', () => {
  test('is checked against the transcript, without the others', () => {
    for (const share of key.shares) {
      const wanted = { env: 'prod', dealing: key.dealing, retired: [] } as const
      expect(() => checkShare(decodeShare(encodeShare(share)), wanted)).not.toThrow()
      expect(() => checkShare(share, { ...wanted, dealing: other.dealing })).toThrow(
        'SHARE_MIXED_SET',
      )
    }
  })

  test('has one encoding', () => {
    const share = key.shares[0]!
    expect(decodeShare(encodeShare(share))).toEqual(share)
    expect(encodeShare(decodeShare(encodeShare(share)))).toEqual(encodeShare(share))
  })
})

test('the secret is never dealt when it has another length', async () => {
  const order = { ...key.shares[0]!, custodians: names }
  await expect(dealShares(randomBytes(31), order)).rejects.toThrow(RangeError)
})

function errorOf(run: () => unknown) {
  try {
    run()
  } catch (error) {
    return error as { code: string; share: { x?: number; custodian?: string } }
  }
  throw new Error('nothing was refused')
}

function withDigest(body: unknown): Uint8Array {
  const domain = Buffer.from('holdfast/share/v1\0')
  const digest = createHash('sha256').update(domain).update(dagCbor.encode(body)).digest()
  return dagCbor.encode(Array.isArray(body) ? body : { ...(body as object), digest })
}

function without(body: Record<string, unknown>, name: string) {
  return Object.fromEntries(Object.entries(body).filter(([key]) => key !== name))
}

function unusedX(): number {
  const used = key.shares.map(({ x }) => x)
  return Array.from({ length: 255 }, (_, index) => index + 1).find((x) => !used.includes(x)) ?? 0
}
