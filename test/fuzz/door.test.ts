import { expect, it } from 'vitest'
import { fuzz, seed } from './fuzz-command.ts'

const REQUESTS = 20_000

it(
  `20,000 generated requests to a real service meet no 5xx and leave memory as it was (FUZZ_SEED=${seed})`,
  { timeout: 600_000 },
  async () => {
    const { code, findings, door } = await fuzz('--door', String(REQUESTS))
    expect(findings).toEqual([])
    expect(code).toBe(0)
    expect(door?.growthMb).toBeLessThan(50)
    // Else the generator spoils everything, and nothing behind the signature is reached.
    const statuses = door?.statuses ?? {}
    expect(statuses['200']).toBeGreaterThan(REQUESTS / 20)
    for (const status of ['201', '401', '403', '404', '405', '409']) {
      expect([status, statuses[status] ?? 0]).toEqual([status, expect.any(Number)])
      expect(statuses[status]).toBeGreaterThan(REQUESTS / 400)
    }
  },
)
