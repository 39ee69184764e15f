import { describe, expect, test } from 'vitest'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { stallService } from './stalled-service.ts'

const missing = missingForPkcs11()

describe.skipIf(missing !== null)(`a token (needs ${missing ?? 'nothing more'})`, () => {
  // How fast is measured by the slow file, alone on the machine; here, that nobody waits for the token.
  test('that hangs for 6 s under load: the service lives, says "busy", and resumes by itself', async () => {
    const stall = await stallService(6_000)
    expect(Object.keys(stall.answers).sort()).toEqual(['400 ThrottlingException', 'signed'])
    expect(stall.v1).toEqual(['503 1', '200 returned'])
    expect(stall.healthP99).toBeLessThan(3_000)
    expect(stall.slowest).toBeLessThan(6_000)
  })
})
