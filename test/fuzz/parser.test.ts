import { expect, it } from 'vitest'
import { fuzz, seed } from './fuzz-command.ts'

const MESSAGES = 1_000_000

it(
  `a million generated messages crash nothing and leave memory as it was (FUZZ_SEED=${seed})`,
  { timeout: 600_000 },
  async () => {
    const { code, findings, parser } = await fuzz('--parser', String(MESSAGES))
    expect(findings).toEqual([])
    expect(code).toBe(0)
    expect(parser?.growthMb).toBeLessThan(50)
    // The generator reaches what it is for: a good part passes, and nothing fails for one reason alone.
    const outcomes = parser?.outcomes ?? {}
    for (const outcome of ['unsigned accepted', 'signed accepted', 'unsigned limited']) {
      expect([outcome, outcomes[outcome]]).toEqual([outcome, expect.any(Number)])
      expect(outcomes[outcome]).toBeGreaterThan(MESSAGES / 50)
    }
    for (const outcome of ['unsigned malformed', 'signed malformed']) {
      expect(outcomes[outcome]).toBeGreaterThan(MESSAGES / 20)
    }
    for (const outcome of [
      'unsigned not-canonical',
      'signed not-canonical',
      'unsigned too-large',
    ]) {
      expect(outcomes[outcome]).toBeGreaterThan(MESSAGES / 1_000)
    }
  },
)
