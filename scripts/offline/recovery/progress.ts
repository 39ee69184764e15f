const TERMINAL_MS = 200
const LINES_MS = 5_000

/** A line on standard error that changes on a terminal, and comes now and then elsewhere. */
export type Progress = { advance(count: number): void; end(): void }

export function createProgress(name: string, total: number): Progress {
  const isTerminal = process.stderr.isTTY
  const begun = performance.now()
  let told = begun
  let done = 0
  return {
    advance(count) {
      done += count
      const now = performance.now()
      if (now - told < (isTerminal ? TERMINAL_MS : LINES_MS)) return
      told = now
      const line = renderProgress(name, { done, total, seconds: (now - begun) / 1_000 })
      process.stderr.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`)
    },
    end: () => void (isTerminal && process.stderr.write('\r\u001b[K')),
  }
}

function renderProgress(
  name: string,
  { done, total, seconds }: { done: number; total: number; seconds: number },
): string {
  const left = done === 0 ? null : ((total - done) / done) * seconds
  const remaining = left === null ? '' : `, ${formatSeconds(left)} left`
  return `${name}: ${done} of ${total}, ${Math.round(done / seconds)} a second${remaining}`
}

export function formatSeconds(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`
  const minutes = seconds / 60
  return minutes < 90 ? `${minutes.toFixed(0)} min` : `${(minutes / 60).toFixed(1)} h`
}
