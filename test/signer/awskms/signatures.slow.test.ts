import { describe, expect, test } from 'vitest'
import { missingForKms } from '../../support/kms-emulator/emulator.ts'
import { openBench } from './harness.ts'
import { signMany } from './sign-many.ts'

const missing = missingForKms()
const SIGNATURES = 10_000

// Half a minute each; the hundreds of signatures.test.ts run always.
describe.skipIf(missing !== null)(`AWS KMS signs (needs ${missing ?? 'nothing more'})`, () => {
  test.each(['k', 'p'] as const)(
    '10,000 times with %s: 64 bytes, low-S, verified, short r and s among them',
    async (curve) => {
      const bench = await openBench()
      const signer = await bench.open().openSigner(bench[curve])
      const sum = await signMany(signer, bench[curve], SIGNATURES)
      process.stderr.write(`${curve}: ${(SIGNATURES / sum.seconds).toFixed(0)}/s\n`)
      expect(sum).toMatchObject({ signatures: SIGNATURES, lowS: SIGNATURES, verified: SIGNATURES })
      expect(sum.shortR).toBeGreaterThan(0)
      expect(sum.shortS).toBeGreaterThan(0)
    },
    300_000,
  )
})
