import { expect, test } from 'vitest'
import { benchEnroll } from '../../scripts/bench/enroll.ts'

test('the enrolment benchmark prints its rate beside the directory’s own pace', async () => {
  const result = await benchEnroll(['--count', '300'])
  expect(result).toMatchObject({
    bench: 'enroll',
    identities: 300,
    directory_pace_per_s: 1.67,
    identities_per_s: expect.any(Number),
    peak_rss_mb: expect.any(Number),
    ratio: expect.any(Number),
  })
  expect((result as { ratio: number }).ratio).toBeGreaterThan(20)
}, 120_000)
