import { describe, expect, test } from 'vitest'
import { addFreeze, freezesOf, parseFreeze } from '../../src/trust/freeze.ts'

const NOW = new Date('2026-01-31T12:00:00Z')
const by = 'person:alice'
const pds = { caller: 'pds', keys: ['main'] }

describe('a freeze', () => {
  test.each(['all', 'caller pds', 'key main'])('of %s stops the caller', (scope) => {
    const frozen = addFreeze([], { scope, by }, NOW)
    expect(freezesOf(frozen, pds)).toEqual([{ scope, by, since: NOW.toISOString() }])
  })

  test.each(['caller other', 'key other', 'caller main', 'key pds'])('of %s does not', (scope) => {
    expect(freezesOf(addFreeze([], { scope, by }, NOW), pds)).toEqual([])
  })

  test('of what is frozen keeps its beginning; after a thaw it has another one', () => {
    const frozen = addFreeze([], { scope: 'all', by }, NOW)
    const later = new Date('2026-02-01T00:00:00Z')
    expect(addFreeze(frozen, { scope: 'all', by: 'operator' }, later)).toBe(frozen)
    expect(addFreeze([], { scope: 'all', by }, later)).not.toEqual(frozen)
  })

  test.each([
    'all',
    'all since yesterday by operator',
    'all since 2026-01-31T12:00:00.000Z',
    'all since 2026-01-31T12:00:00.000Z by caller:pds',
    'host a since 2026-01-31T12:00:00.000Z by operator',
    '',
  ])('that says %j is not known, and so stops everything', (text) => {
    expect(() => parseFreeze(text)).toThrow(/not known here/)
    expect(() => freezesOf([text], pds)).toThrow(/not known here/)
  })

  test('is of something', () => {
    expect(() => addFreeze([], { scope: 'caller ', by }, NOW)).toThrow(/all, caller NAME or key ID/)
  })
})
