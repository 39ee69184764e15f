import { createTally, exitCodeOf, outcomeKinds } from '../../src/campaign/outcome.ts'
import type { NotDone, Outcome } from '../../src/campaign/outcome.ts'
import { DIRECTORY_PER_SECOND } from '../../src/campaign/pace.ts'

/** A part of the work that is measured on its own: bytes of a file, or reads from the directory. */
export type Phase = { readonly name: string; readonly unit: string; readonly total: number | null }

export type EnrollReport = {
  begin(phase: Phase): void
  advance(count: number): void
  /** @param named asked for by name, so it is answered by name */
  outcome(outcome: Outcome, named: boolean): void
  /** Prints the sum. @returns the exit code */
  end(): number
}

const words: Readonly<Record<Outcome['kind'], string>> = {
  enrolled: 'enrolled',
  refreshed: 'refreshed',
  already: 'in care already',
  refused: 'refused',
  invalid: 'not valid',
  unread: 'not read',
}

const TERMINAL_MS = 200
const LINES_MS = 5_000

/** Outcomes on standard output, progress on standard error: a line that changes, or one now and then. */
export function createEnrollReport({ json }: { json: boolean }): EnrollReport {
  const tally = createTally()
  const terminal = process.stderr.isTTY
  const started = performance.now()
  let phase: Phase = { name: '', unit: '', total: null }
  let done = 0
  let begun = started
  let told = started

  const tell = (force: boolean): void => {
    const now = performance.now()
    if (!force && now - told < (terminal ? TERMINAL_MS : LINES_MS)) return
    told = now
    const seconds = (now - begun) / 1_000
    const left = phase.total === null ? null : ((phase.total - done) / done) * seconds
    const remaining = left === null || !Number.isFinite(left) ? null : Math.max(0, left)
    if (json) print(JSON.stringify({ progress: { ...phase, done, remaining_s: round(remaining) } }))
    const line = renderProgress({ phase, done, remaining, seconds })
    process.stderr.write(terminal ? `\r\x1b[K${line}` : `${line}\n`)
  }

  return {
    begin(next) {
      phase = next
      done = 0
      begun = performance.now()
      told = begun
    },
    advance(count) {
      done += count
      tell(false)
    },
    outcome(outcome, named) {
      tally.add(outcome)
      if (json) print(JSON.stringify(outcome))
      else if (named) print(renderOutcome(outcome))
    },
    end() {
      if (terminal) process.stderr.write('\r\x1b[K')
      const seconds = (performance.now() - started) / 1_000
      const all = outcomeKinds.reduce((sum, kind) => sum + tally.counts[kind], 0)
      const perSecond = all / seconds
      if (json) print(JSON.stringify({ summary: summaryOf(tally.counts, { all, seconds }) }))
      else if (all > 1) {
        for (const line of renderNotDone(tally.notDone, tally.counts)) print(line)
        const parts = outcomeKinds.map((kind) => `${tally.counts[kind]} ${words[kind]}`)
        print(`${parts.join(', ')}: ${all} in all`)
        print(
          `${renderSeconds(seconds)}, ${perSecond.toFixed(1)} a second; the directory's own pace is ` +
            `${DIRECTORY_PER_SECOND.toFixed(2)} a second, ${renderSeconds(all / DIRECTORY_PER_SECOND)} for as many`,
        )
      }
      return exitCodeOf(tally.counts)
    },
  }
}

function summaryOf(
  counts: Readonly<Record<Outcome['kind'], number>>,
  { all, seconds }: { all: number; seconds: number },
): object {
  return {
    all,
    ...counts,
    seconds: round(seconds),
    per_s: round(all / seconds),
    directory_pace_per_s: 1.67,
    peak_rss_mb: round(process.resourceUsage().maxRSS / 1024),
  }
}

function renderProgress(input: {
  phase: Phase
  done: number
  remaining: number | null
  seconds: number
}): string {
  const { phase, done, remaining, seconds } = input
  const inBytes = phase.unit === 'bytes'
  const show = (value: number) => count(inBytes ? value / 1e6 : value)
  const part = phase.total === null ? '' : ` of ${show(phase.total)}`
  const rate = seconds > 0 ? done / seconds : 0
  const left = remaining === null ? '' : `, ${renderSeconds(remaining)} left`
  const unit = inBytes ? 'MB' : phase.unit
  return `${phase.name}: ${show(done)}${part} ${unit}, ${show(rate)} a second${left}`
}

function renderOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'enrolled':
    case 'refreshed':
      return `${outcome.did}: ${outcome.kind} at ${outcome.head}`
    case 'already':
      return `${outcome.did}: ${words[outcome.kind]}`
    case 'refused':
    case 'invalid':
    case 'unread':
      return `${place(outcome)}: ${words[outcome.kind]} (${outcome.reason})`
  }
}

function place({ did, line }: NotDone): string {
  const where = line === undefined ? [] : [`line ${line}`]
  return [...where, ...(did === null ? [] : [did])].join(', ')
}

function renderNotDone(
  notDone: readonly NotDone[],
  counts: Readonly<Record<Outcome['kind'], number>>,
): string[] {
  const lines = (['refused', 'invalid', 'unread'] as const).flatMap((kind) =>
    notDone.filter((outcome) => outcome.kind === kind).map(renderOutcome),
  )
  const more = counts.refused + counts.invalid + counts.unread - notDone.length
  return more > 0 ? [...lines, `and ${more} more; --json shows all of them`] : lines
}

function renderSeconds(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const minutes = seconds / 60
  return minutes < 90 ? `${minutes.toFixed(0)} min` : `${(minutes / 60).toFixed(1)} h`
}

const count = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 1 })
const round = (value: number | null) => (value === null ? null : Math.round(value * 10) / 10)
const print = (line: string): void => void process.stdout.write(`${line}\n`)
