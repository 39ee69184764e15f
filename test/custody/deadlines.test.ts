import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { buildLog, keyNamed } from '../plc/build-log.ts'
import { openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import { deafSigner } from '../support/signers.ts'

// Whoever does not answer is not waited for: real deadlines, so these run beside each other.

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const begun = performance.now()
  const result = await work()
  return { result, ms: performance.now() - begun }
}

describe.concurrent('busy, and not for ever', () => {
  test('a key that never answers and does not listen: within the lease', async () => {
    custody.bench.fault = deafSigner()
    const genesis = genesisOf('deaf', [custody.key.did])
    const { result, ms } = await timed(async () => await custody.sign(genesis))

    expect(result).toMatchObject({ kind: 'busy', requestId: expect.any(String) })
    expect(ms).toBeLessThan(8_000)
  })

  test('a directory that accepts and never answers: within ten seconds, and no key is used', async () => {
    const user = await keyNamed('deadline-user')
    const rows = await buildLog([{ did: () => custody.key.did }, user], user)
    custody.directory.list(rows)
    await custody.enroll(rows[0]!.did)
    const directory = directoryThat('accepts but times out')
    const { result, ms } = await timed(
      async () => await custody.sign(renamed(rows[0]!, 'deadline'), { directory }),
    )

    expect(result).toMatchObject({ kind: 'busy', requestId: null })
    expect(ms).toBeLessThan(10_000)
    // That of the test above.
    expect(custody.bench.uses).toBeLessThanOrEqual(1)
  })
})
