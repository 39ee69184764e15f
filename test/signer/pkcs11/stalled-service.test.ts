import { describe, expect, test } from 'vitest'
import { missingForPkcs11 } from '../../support/softhsm.ts'
import { stallService } from './stalled-service.ts'

const missing = missingForPkcs11()

describe.skipIf(missing !== null)(`a token (needs ${missing ?? 'nothing more'})`, () => {
  // Another file's tests may take both cores at the wrong moment.
  const options = { retry: 2 }
  test(
    'that hangs for 6 s under load: the service lives, says "busy", and resumes by itself',
    options,
    async () => {
      const stall = await stallService(6_000)
      expect(Object.keys(stall.answers).sort()).toEqual(['400 ThrottlingException', 'signed'])
      expect(stall.v1).toEqual(['503 1', '200 returned'])
      expect(stall.healthP99).toBeLessThan(50)
      expect(stall.slowest).toBeLessThan(5_500)
      expect(stall.resumed).toBeLessThan(1_000)
    },
  )
})
