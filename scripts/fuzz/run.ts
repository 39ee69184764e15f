import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { fuzzDoors } from './door.ts'
import type { DoorReport } from './door.ts'
import { HEAP_LIMITS } from './memory.ts'
import type { ParserReport } from './parser.ts'

const usage = `Usage: npm run fuzz -- [N] [--parser N] [--door N] [--seed S] [--json]

  N            N messages against the parser, N/50 requests against the doors (default 1000000)
  --parser N   messages against the parser alone
  --door N     requests against the doors of a real service alone
  --seed S     the same input again
  --json       one JSON object on the last line

Exit codes: 0 nothing found, 1 something found, 2 wrong usage.
`

/** What memory may grow by after the first tenth, in MB. */
const MAX_GROWTH_MB = 50

type Plan = { readonly parser: number; readonly door: number; readonly seed: number }

function planOf(args: string[]): (Plan & { readonly json: boolean }) | null {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      parser: { type: 'string' },
      door: { type: 'string' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      json: { type: 'boolean', default: false },
    },
  })
  const alone = values.parser !== undefined || values.door !== undefined
  const [all = alone ? '0' : '1000000', extra] = positionals
  const numbers = [all, values.parser ?? all, values.door ?? String(Math.ceil(Number(all) / 50))]
  const [, parser = 0, door = 0] = numbers.map(Number)
  const seed = Number(values.seed)
  const whole = [...numbers, values.seed].every((text) => /^[0-9]{1,10}$/.test(text))
  return whole && extra === undefined ? { parser, door, seed, json: values.json } : null
}

async function run(plan: Plan): Promise<{ parser?: ParserReport; door?: DoorReport }> {
  const { parser, door, seed } = plan
  say(`seed ${seed}`)
  const report: { parser?: ParserReport; door?: DoorReport } = {}
  if (parser > 0) {
    report.parser = await runParser({ seed, count: parser })
    tell(`parser: ${parser} messages`, report.parser)
  }
  if (door > 0) {
    const onTenth = (done: number): void => say(`doors: ${done} of ${door}`)
    report.door = await fuzzDoors({ seed, count: door, onTenth })
    tell(`doors: ${door} requests`, report.door)
  }
  return report
}

/** In a thread of its own, whose heap has limits: a leak ends the run. */
async function runParser(options: { seed: number; count: number }): Promise<ParserReport> {
  const worker = new Worker(new URL('./parser-worker.ts', import.meta.url), {
    workerData: options,
    resourceLimits: {
      maxOldGenerationSizeMb: HEAP_LIMITS.oldMb,
      maxYoungGenerationSizeMb: 3 * HEAP_LIMITS.semiSpaceMb,
    },
  })
  const [report] = (await once(worker, 'message')) as [ParserReport]
  return report
}

function tell(what: string, report: ParserReport | DoorReport): void {
  const { seconds, rssFirstTenthMb, rssAfterMb, growthMb } = report
  const counts = 'outcomes' in report ? report.outcomes : report.statuses
  say(`${what} in ${seconds.toFixed(1)} s`)
  for (const [name, count] of Object.entries(counts)) say(`  ${name}: ${count}`)
  say(`  memory: ${rssFirstTenthMb} MB in the first tenth, ${rssAfterMb} MB after (+${growthMb})`)
}

/** Nothing, when all is well. */
function findingsOf({ parser, door }: { parser?: ParserReport; door?: DoorReport }): string[] {
  const grown = [parser, door].filter(
    (part) => part !== undefined && part.growthMb >= MAX_GROWTH_MB,
  )
  return [
    ...(parser?.failure == null ? [] : [parser.failure]),
    ...(door?.failures ?? []),
    ...grown.map(
      (part) => `memory grew by ${part?.growthMb} MB, at most ${MAX_GROWTH_MB} are allowed`,
    ),
  ]
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

const plan = planOf(process.argv.slice(2))
if (plan === null) {
  process.stderr.write(usage)
  process.exitCode = 2
} else {
  const report = await run(plan)
  const findings = findingsOf(report)
  for (const finding of findings) say(`FOUND: ${finding}`)
  if (plan.json)
    process.stdout.write(`${JSON.stringify({ seed: plan.seed, ...report, findings })}\n`)
  process.exitCode = findings.length === 0 ? 0 : 1
}
