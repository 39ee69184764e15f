import { describe, expect, test } from 'vitest'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { stallUnderLoad } from './stalled.ts'

const missing = missingForPkcs11()

describe.skipIf(missing !== null)(`a stalled token (needs ${missing ?? 'nothing more'})`, () => {
  test.each(['C_Sign', '*'])(
    'that hangs for 30 s in %s, with the limits of a service',
    async (on) => {
      const stall = await stallUnderLoad({ stallMs: 30_000, callerMs: 5_000, limits: {}, on })
      expect(stall.loopP99).toBeLessThan(50)
      expect(stall.slowest).toBeLessThan(5_000 + 250)
      expect(stall.resumed).toBeLessThan(1_000)
      expect(Object.keys(stall.answers).sort()).toEqual(['signed', 'timeout', 'unavailable'])
      expect(stall.states).not.toContain('latched')
    },
  )
})
