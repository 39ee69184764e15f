import { describe, expect, it } from 'vitest'
import { AuthenticationError } from '../../src/http/authentication-error.ts'
import { verifyBearer } from '../../src/http/bearer.ts'
import { findCredential, other, otherToken, pds, pdsCredential, pdsToken } from './door-deps.ts'

describe('a bearer token', () => {
  it('names its caller', async () => {
    const header = `Bearer ${pds.accessKeyId}.${pdsToken}`
    await expect(verifyBearer(header, findCredential)).resolves.toEqual(pdsCredential)
  })

  it.each([
    ['of another caller', `Bearer ${pds.accessKeyId}.${otherToken}`, 'mismatch'],
    ['with an unknown access key', `Bearer HFAKNOBODY0000000000.${pdsToken}`, 'mismatch'],
    ['with one character more', `Bearer ${pds.accessKeyId}.${pdsToken}x`, 'mismatch'],
    ['that is the SigV4 secret', `Bearer ${pds.accessKeyId}.${'pds-secret'.repeat(2)}`, 'mismatch'],
    ['that is empty', `Bearer ${pds.accessKeyId}.`, 'malformed'],
    ['that is too long', `Bearer ${pds.accessKeyId}.${'a'.repeat(129)}`, 'malformed'],
    ['without an access key', `Bearer ${pdsToken}`, 'malformed'],
    ['with a third part', `Bearer ${other.accessKeyId}.${otherToken}.x`, 'malformed'],
    ['of another scheme', `Basic ${pds.accessKeyId}.${pdsToken}`, 'malformed'],
    ['with two spaces', `Bearer  ${pds.accessKeyId}.${pdsToken}`, 'malformed'],
    ['with a line break at its end', `Bearer ${pds.accessKeyId}.${pdsToken}\n`, 'malformed'],
  ])('%s is refused', async (_, header, code) => {
    const error = await verifyBearer(header, findCredential).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(AuthenticationError)
    expect((error as AuthenticationError).code).toBe(code)
  })

  it('of a wrong token and of an unknown access key get the same words', async () => {
    const messages = await Promise.all(
      [pds.accessKeyId, 'HFAKNOBODY0000000000'].map((id) =>
        verifyBearer(`Bearer ${id}.${otherToken}`, findCredential).catch((e: unknown) => String(e)),
      ),
    )
    expect(messages[0]).toBe(messages[1])
  })
})
