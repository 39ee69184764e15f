import { describe, expect, test } from 'vitest'
import { SealError, createSealer } from '../../src/sealing/sealer.ts'
import type { SealPurpose } from '../../src/sealing/sealer.ts'

const secret = new Uint8Array(32).fill(7)
const sealer = createSealer(secret)
const plain = Buffer.from('the private half of a rotation key')
const context = ['pds', 'HFAKEXAMPLE', '1']
const sealed = sealer.seal('caller-secret', context, plain)

const open = (
  changes: {
    purpose?: SealPurpose
    context?: string[]
    sealed?: Uint8Array
    secret?: Uint8Array
  } = {},
) =>
  createSealer(changes.secret ?? secret).open(
    changes.purpose ?? 'caller-secret',
    changes.context ?? context,
    changes.sealed ?? sealed,
  )

test('what was sealed opens where it belongs', () => {
  expect(open()).toEqual(plain)
})

test('nothing of it shows, and twice is not the same', () => {
  expect(Buffer.from(sealed).includes(plain.subarray(0, 4))).toBe(false)
  expect(sealer.seal('caller-secret', context, plain)).not.toEqual(sealed)
  expect(sealed.length).toBe(1 + 12 + plain.length + 16)
})

test('empty values and long ones', () => {
  for (const length of [0, 1, 100_000]) {
    const value = Buffer.alloc(length, 1)
    expect(open({ sealed: sealer.seal('caller-secret', context, value) })).toEqual(value)
  }
})

describe('does not open', () => {
  test('with any bit changed', () => {
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Uint8Array.from(sealed)
      changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7))
      expect(() => open({ sealed: changed }), `bit ${bit}`).toThrow(SealError)
    }
  })

  test('cut at any byte, or with one more', () => {
    for (let length = 0; length < sealed.length; length += 1) {
      expect(() => open({ sealed: sealed.subarray(0, length) }), `${length}`).toThrow(SealError)
    }
    expect(() => open({ sealed: Uint8Array.of(...sealed, 0) })).toThrow(SealError)
  })

  test('for another purpose', () => {
    expect(() => open({ purpose: 'file-key' })).toThrow(SealError)
  })

  test('under another secret', () => {
    expect(() => open({ secret: new Uint8Array(32).fill(8) })).toThrow(SealError)
  })

  test.each([
    [['other', 'HFAKEXAMPLE', '1']],
    [['pds', 'HFAKOTHER', '1']],
    [['pds', 'HFAKEXAMPLE', '2']],
    [['pds', 'HFAKEXAMPLE']],
    [['pds', 'HFAKEXAMPLE', '1', '']],
    [['pdsHFAKEXAMPLE', '', '1']],
    [['pds","HFAKEXAMPLE', '1']],
    [['HFAKEXAMPLE', 'pds', '1']],
    [[]],
  ])('in the context %j', (other) => {
    expect(() => open({ context: other })).toThrow(SealError)
  })
})

test.each([0, 16, 31, 33, 64])('a secret of %i bytes is refused', (length) => {
  expect(() => createSealer(new Uint8Array(length))).toThrow(SealError)
})

describe('a mark proves its context', () => {
  const context = ['did:plc:x', 'pds']
  const mark = sealer.mark('identity', context)

  test('and the same context has the same one', () => {
    expect(mark).toHaveLength(32)
    expect(sealer.mark('identity', [...context])).toEqual(mark)
    expect(sealer.isMarked('identity', context, mark)).toBe(true)
  })

  test('and no other: a part more or less, another cut, purpose, secret, or bit', () => {
    for (const other of [
      ['did:plc:x'],
      ['did:plc:x', 'pds', ''],
      ['did:plc:xpds'],
      ['pds', 'did:plc:x'],
    ]) {
      expect(sealer.isMarked('identity', other, mark)).toBe(false)
    }
    expect(sealer.isMarked('operation', context, mark)).toBe(false)
    expect(createSealer(new Uint8Array(32)).isMarked('identity', context, mark)).toBe(false)
    expect(sealer.isMarked('identity', context, mark.subarray(1))).toBe(false)
    expect(sealer.isMarked('identity', context, new Uint8Array())).toBe(false)
    for (let bit = 0; bit < 256; bit += 1) {
      const changed = Buffer.from(mark)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(sealer.isMarked('identity', context, changed)).toBe(false)
    }
  })
})
