import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DIRECTORY_PER_SECOND } from '../../src/campaign/pace.ts'
import { fastKey, writeLogs } from '../../test/support/generate-logs.ts'
import { jsonLines, makeEnrolmentHome } from '../../test/support/enrolment-home.ts'
import type { EnrolmentHome } from '../../test/support/enrolment-home.ts'

/**
 * Identities taken into care per second from a file of audit logs, by the command that operators run:
 * every log verified, every batch committed with its audit entries. First a tenth of them into a
 * database of its own, to see that memory does not grow with their number; then all; then all again,
 * which is what a run that was killed does with those before.
 */
export async function benchEnroll(args: string[]): Promise<object> {
  const { values } = parseArgs({ args, options: { count: { type: 'string', default: '50000' } } })
  const count = Number(values.count)
  const server = 'enroll benchmark'
  const keyDid = (await fastKey(server)).did
  const homes = [await makeEnrolmentHome({ keyDid }), await makeEnrolmentHome({ keyDid })] as const
  try {
    const [small, large] = homes
    const tenth = await enrol(small, { count: Math.ceil(count / 10), server })
    const all = await enrol(large, { count, server })
    const again = await run(large, 'already', count)
    return {
      bench: 'enroll',
      identities: count,
      operations: 2 * count,
      file_mb: Math.round((await stat(fileOf(large))).size / 1e6),
      identities_per_s: all.per_s,
      seconds: all.seconds,
      directory_pace_per_s: 1.67,
      ratio: Math.round(all.per_s / DIRECTORY_PER_SECOND),
      hours_at_directory_pace: Math.round((count / DIRECTORY_PER_SECOND / 3_600) * 10) / 10,
      passed_over_per_s: again.per_s,
      peak_rss_mb: all.peak_rss_mb,
      peak_rss_tenth_mb: tenth.peak_rss_mb,
      bound_by:
        'one core, which verifies and encodes about two thirds of the time and waits for Postgres in the rest',
    }
  } finally {
    for (const home of homes) await home.remove()
  }
}

type Summary = { all: number; seconds: number; per_s: number; peak_rss_mb: number } & Record<
  'enrolled' | 'already',
  number
>

const fileOf = (home: EnrolmentHome) => join(home.dir, 'logs.jsonl')

async function enrol(
  home: EnrolmentHome,
  { count, server }: { count: number; server: string },
): Promise<Summary> {
  const started = performance.now()
  await writeLogs(fileOf(home), { count, server })
  const seconds = ((performance.now() - started) / 1_000).toFixed(1)
  process.stderr.write(`${count} logs signed and written in ${seconds} s\n`)
  return await run(home, 'enrolled', count)
}

async function run(
  home: EnrolmentHome,
  expected: 'enrolled' | 'already',
  count: number,
): Promise<Summary> {
  const { code, stdout, stderr } = await home.run(['enroll', '--logs', fileOf(home), '--json'])
  if (code !== 0) throw new Error(`enroll ended with ${code}: ${stderr.slice(-2_000)}`)
  const { summary } = jsonLines(stdout).at(-1) as { summary: Summary }
  if (summary.all !== count || summary[expected] !== count) {
    throw new Error(`not all ${expected}: ${JSON.stringify(summary)}`)
  }
  process.stderr.write(`${count} ${expected} in ${summary.seconds} s, ${summary.per_s} a second\n`)
  return summary
}
