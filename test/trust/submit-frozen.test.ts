import { describe, expect, test } from 'vitest'
import { unlessFrozen } from '../../src/submit-frozen.ts'
import { addFreeze } from '../../src/trust/freeze.ts'

const NOW = new Date('2026-01-31T12:00:00Z')
const byAlice = addFreeze([], { scope: 'caller pds', by: 'person:alice' }, NOW)
const input = { caller: 'pds', requestId: 'r' }

/** What was done, in its order. */
function door(frozen: readonly string[], parts: { signed?: boolean; fails?: boolean } = {}) {
  const done: string[] = []
  const submit = unlessFrozen(
    async () => {
      done.push('sent')
      return { kind: 'sent' }
    },
    {
      trust: { look: async () => ({ cause: null, frozen }) },
      policies: { callers: [{ name: 'pds', keys: ['main'] }] },
      isSigned: async () => parts.signed ?? true,
      allow: async ({ person, frozen: scopes }) => {
        if (parts.fails === true) throw new Error('the database is away')
        done.push(`${person} allows despite ${scopes.join(', ')}`)
      },
    },
  )
  return { done, submit }
}

describe('what was signed before', () => {
  test('is sent on where nothing is frozen, without anybody’s word', async () => {
    const { done, submit } = door([])
    expect(await submit(input)).toEqual({ kind: 'sent' })
    expect(done).toEqual(['sent'])
  })

  test('is not sent on by its caller, nor by the officer who froze', async () => {
    const { done, submit } = door(byAlice)
    expect(await submit(input)).toMatchObject({ kind: 'frozen' })
    expect(await submit({ ...input, officer: 'alice' })).toMatchObject({
      kind: 'frozen',
      message: expect.stringContaining('alice has frozen this'),
    })
    expect(done).toEqual([])
  })

  test('is sent on by another officer, whose word is kept first', async () => {
    const { done, submit } = door(byAlice)
    expect(await submit({ ...input, officer: 'bob' })).toEqual({ kind: 'sent' })
    expect(done).toEqual(['bob allows despite caller pds', 'sent'])
  })

  test('is sent on by neither of two who froze', async () => {
    const both = addFreeze(byAlice, { scope: 'key main', by: 'person:bob' }, NOW)
    const { done, submit } = door(both)
    expect(await submit({ ...input, officer: 'bob' })).toMatchObject({ kind: 'frozen' })
    expect(done).toEqual([])
  })

  test('is not sent on where the word cannot be kept', async () => {
    const { done, submit } = door(byAlice, { fails: true })
    await expect(submit({ ...input, officer: 'bob' })).rejects.toThrow('the database is away')
    expect(done).toEqual([])
  })
})

test('of what is not signed no word is kept', async () => {
  const { done, submit } = door(byAlice, { signed: false })
  expect(await submit({ ...input, officer: 'bob' })).toMatchObject({ kind: 'frozen' })
  expect(done).toEqual([])
})
