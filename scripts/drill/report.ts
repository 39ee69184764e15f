import { DIRECTORY_PER_SECOND } from '../../src/campaign/pace.ts'
import type { Kind } from './population.ts'
import type { Step } from './step.ts'

export type Report = {
  readonly ok: boolean
  readonly accounts: number
  readonly saved: number
  /** Accounts that nothing could save, and that were left as they were. */
  readonly left: number
  readonly byKind: Readonly<Partial<Record<Kind, number>>>
  /** Whether the ceremony ran in a network namespace of its own. */
  readonly isolated: boolean
  /** Where the logs of a drill that failed are kept; null: it did not. */
  readonly logs: string | null
  readonly steps: readonly Step[]
}

/** A log read for the plan; a head read, an operation sent and the log read for each account after it. */
const REQUESTS_EACH = 4

export function renderReport({ ok, accounts, saved, left, byKind, logs, steps }: Report): string {
  const seconds = steps.reduce((sum, step) => sum + step.seconds, 0)
  const kinds = Object.entries(byKind).map(([kind, count]) => `  ${count} ${kind}`)
  const forecast = [1_000, 10_000, 100_000].map((count) => {
    const hours = (count * REQUESTS_EACH) / DIRECTORY_PER_SECOND / 3_600
    return `  ${count.toLocaleString('en')} accounts: about ${hours < 1 ? `${Math.ceil(hours * 60)} min` : `${Math.ceil(hours)} h`}`
  })
  return [
    '',
    ok
      ? `The recovery works here: ${saved} of ${accounts} accounts came back in ${Math.round(seconds)} s.`
      : `The recovery does NOT work here; the step that failed is the last one above. Logs: ${logs}`,
    ...(ok
      ? [`${left} could not be saved, and nothing of them was changed. Accounts by kind:`, ...kinds]
      : []),
    '',
    'In earnest the directory sets the pace (500 requests in five minutes for one address):',
    ...forecast,
    'What this drill cannot show: that your own recovery key opens (scripts/ceremony prove), and that your',
    'accounts list it (recovery plan says of each).',
  ].join('\n')
}
