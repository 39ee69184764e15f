import { describe, expect, test } from 'vitest'
import { addFreeze, frozenFor, parseFreeze } from '../../src/trust/freeze.ts'

const NOW = new Date('2026-01-31T12:00:00Z')
const pds = { caller: 'pds', keys: ['main'] }

describe('a freeze', () => {
  test.each(['all', 'caller pds', 'key main'])('of %s stops the caller', (scope) => {
    const frozen = addFreeze([], scope, NOW)
    expect(frozenFor(frozen, pds)).toEqual({ scope, since: NOW.toISOString() })
  })

  test.each(['caller other', 'key other', 'caller main', 'key pds'])('of %s does not', (scope) => {
    expect(frozenFor(addFreeze([], scope, NOW), pds)).toBeNull()
  })

  test('of what is frozen keeps its beginning; after a thaw it has another one', () => {
    const frozen = addFreeze([], 'all', NOW)
    const later = new Date('2026-02-01T00:00:00Z')
    expect(addFreeze(frozen, 'all', later)).toBe(frozen)
    expect(addFreeze([], 'all', later)).not.toEqual(frozen)
  })

  test.each(['all', 'all since yesterday', 'host a since 2026-01-31T12:00:00.000Z', ''])(
    'that says %j is not known, and so stops everything',
    (text) => {
      expect(() => parseFreeze(text)).toThrow(/not known here/)
      expect(() => frozenFor([text], pds)).toThrow(/not known here/)
    },
  )

  test('is of something', () => {
    expect(() => addFreeze([], 'caller ', NOW)).toThrow(/all, caller NAME or key ID/)
  })
})
