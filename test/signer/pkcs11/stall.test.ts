import { describe, expect, test } from 'vitest'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { stallUnderLoad } from './stalled.ts'

const missing = missingForPkcs11()
const limits = { callMs: 600, startMs: 2_000, patienceMs: 300 }

describe.skipIf(missing !== null)(`a stalled token (needs ${missing ?? 'nothing more'})`, () => {
  test.each([
    ['in each signature', 'C_Sign'],
    ['in each call', '*'],
    ['in calls that block its process', 'C_SignInit'],
  ])('that hangs for 3 s %s', async (_what, on) => {
    const stall = await stallUnderLoad({ stallMs: 3_000, callerMs: 1_000, limits, on })
    // How fast is measured by the slow file, alone on the machine; here, that nobody waits for the token.
    expect(stall.slowest).toBeLessThan(3_000)
    expect(stall.answers.signed).toBeGreaterThan(0)
    expect(stall.answers.unavailable).toBeGreaterThan(0)
    expect(stall.answers['signature-invalid']).toBeUndefined()
    expect(stall.answers['key-unusable']).toBeUndefined()
    expect(stall.states).not.toContain('latched')
  })
})
