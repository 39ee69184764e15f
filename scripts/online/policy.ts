import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readEnv, toConfig } from '../../src/config.ts'
import { analyse } from '../../src/policy/analyse.ts'
import type { Analysis } from '../../src/policy/analyse.ts'
import { compare, requirementText } from '../../src/policy/compare.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { runTests } from '../../src/policy/run-tests.ts'
import type { TestFailure } from '../../src/policy/run-tests.ts'
import { readPolicySet, readTestCases, witnessProblems } from '../../src/policy-files.ts'
import { speakOfChange, speakUsage } from './trust/speak.ts'
import { wordsOf } from './trust/words.ts'
import { UsageError, print, printJson } from './command.ts'
import { explainCommand } from './policy-explain.ts'
import { replayExport } from './policy-replay.ts'
import type { ReplayReport } from './policy-replay.ts'
import type { Command } from './command.ts'

const usage =
  'policy check [DIR] | policy diff OLD-DIR NEW-DIR [--replay EXPORT-DIR]\n' +
  '| policy explain [DIR] --from-file OP.json --caller NAME --key ID [--log FILE | --did DID]\n' +
  '| policy propose FILE --proposer ID | policy adopt [FILE] [--accepted FILE]…\n' +
  `| ${speakUsage}\n` +
  '(each with --json)'

const explainOptions = {
  'from-file': { type: 'string' },
  caller: { type: 'string' },
  key: { type: 'string' },
  log: { type: 'string' },
  did: { type: 'string' },
} as const

/** But for `propose` and `adopt`, it needs neither service nor database: it reads files, and a log if asked. */
export const policy: Command = async ([verb, ...args]) => {
  if (verb === 'approve' || verb === 'reject') return await speakOfChange(verb, args)
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      replay: { type: 'string' },
      accepted: { type: 'string', multiple: true },
      proposer: { type: 'string' },
      ...explainOptions,
    },
  })
  const [first, second, ...extra] = positionals
  const { accepted, proposer } = values
  if (verb === 'adopt' && second === undefined && proposer === undefined) {
    const { adopt } = await import('./trust/adopt.ts')
    return await adopt({ path: first ?? null, accepted: accepted ?? [], json: values.json })
  }
  if (accepted !== undefined) throw new UsageError(usage)
  if (verb === 'propose' && first !== undefined && second === undefined) {
    const { propose } = await import('./trust/propose.ts')
    return await propose({ path: first, proposer: proposer ?? null, json: values.json })
  }
  if (proposer !== undefined) throw new UsageError(usage)
  if (verb === 'check' && second === undefined)
    return await check(first ?? defaultDir(), values.json)
  if (verb === 'diff' && first !== undefined && second !== undefined && extra.length === 0) {
    return await diff(first, second, values)
  }
  const { 'from-file': file, caller, key, json } = values
  if (verb === 'explain' && second === undefined && file && caller && key) {
    const { log, did } = values
    const dir = first ?? defaultDir()
    return await explainCommand({ dir, file, caller, key, log, did, json })
  }
  throw new UsageError(usage)
}

/** The folder that a service in this environment would load. */
function defaultDir(): string {
  const config = toConfig(readEnv(process.env), process.cwd())
  return config.policiesDir ?? join(config.dataDir, 'policies')
}

async function check(dir: string, json: boolean): Promise<number> {
  const policies = await readPolicySet(dir)
  const cases = await readTestCases(dir)
  const analysed = analyse(policies, new Date())
  const problems = [...witnessProblems(policies), ...analysed.problems]
  const analysis = { ...analysed, problems }
  const tests = { cases: cases.length, failures: runTests(policies, cases) }
  if (json) printJson({ ...checkReport(dir, policies, analysis), tests })
  else {
    printCheck(dir, policies, analysis)
    printTests(tests)
  }
  return analysis.problems.length + tests.failures.length === 0 ? 0 : 1
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function checkReport(dir: string, policies: PolicySet, analysis: Analysis) {
  const { roster, ceremony } = policies
  return {
    dir,
    sound: analysis.problems.length === 0,
    policySet: hex(policies.digest),
    words: wordsOf(policies.digest),
    roster:
      roster === null
        ? null
        : { epoch: roster.epoch, digest: hex(roster.digest), words: wordsOf(roster.digest) },
    ceremony,
    ...analysis,
  }
}

function printCheck(dir: string, policies: PolicySet, analysis: Analysis): void {
  const { roster, ceremony } = policies
  print(`${dir} (env: ${policies.env})`)
  print(`policy set ${hex(policies.digest)}`)
  print(`  ${wordsOf(policies.digest)}`)
  print(roster === null ? 'no officers' : `roster epoch ${roster.epoch} ${hex(roster.digest)}`)
  if (roster !== null) print(`  ${wordsOf(roster.digest)}`)
  for (const rule of policies.rules) {
    const asked = rule.require === 'none' ? 'without approval' : requirementText(rule.require)
    print(`  ${rule.id}: ${rule.match.op.join(', ')} by key ${rule.match.key.join(', ')}: ${asked}`)
  }
  if (ceremony !== null) {
    const may = ceremony.approversMayOperate ? 'may' : 'may not'
    print(
      `  ceremony: ${ceremony.operators} operators, ${ceremony.observers} observers; who approves it ${may} operate it`,
    )
  }
  for (const { rules } of analysis.overlaps) {
    print(`  ${rules.join(' and ')} can both match: what both match must satisfy both`)
  }
  print(`${analysis.cells} classes of questions walked through`)
  for (const { check: name, severity, message } of analysis.problems) {
    print(`${severity === 'refuse' ? 'REFUSED' : 'problem'} ${name}: ${message}`)
  }
  print(analysis.problems.length === 0 ? 'sound' : `${analysis.problems.length} problems`)
}

type Tested = { readonly cases: number; readonly failures: readonly TestFailure[] }

function printTests({ cases, failures }: Tested): void {
  for (const failure of failures) {
    print(`FAILED ${failure.file}: ${failure.case}: ${failure.message}`)
  }
  if (cases === 0) print('no cases in tests/')
  else print(`${cases - failures.length} of ${cases} cases in tests/ answered as they must`)
}

async function diff(
  oldDir: string,
  nextDir: string,
  { json, replay }: { readonly json: boolean; readonly replay?: string | undefined },
): Promise<number> {
  const [old, next] = [await readPolicySet(oldDir), await readPolicySet(nextDir)]
  const differences = compare(old, next)
  const digests = { old: hex(old.digest), new: hex(next.digest) }
  const replayed = replay === undefined ? null : replayExport(replay, { old, next })
  const told = replayed === null ? {} : { replayed }
  if (json) printJson({ ...digests, differences, ...told })
  else {
    for (const direction of ['looser', 'tighter'] as const) {
      const found = differences.filter((difference) => difference.direction === direction)
      if (found.length > 0)
        print(direction === 'looser' ? 'NOW ALLOWED, OR BY LESS:' : 'Now denied, or by more:')
      for (const { text } of found) print(`  ${text}`)
    }
    if (differences.length === 0) print('the two sets decide alike')
    if (replayed !== null) printReplayed(replayed)
  }
  return 0
}

const headings = {
  looser: 'RECORDED OPERATIONS THAT WOULD PASS NOW, OR BY LESS:',
  otherwise: 'Recorded operations that would be put to others:',
  tighter: 'Recorded operations that would not pass any more, or by more:',
} as const

function printReplayed({ requests, changed }: ReplayReport): void {
  for (const direction of ['looser', 'otherwise', 'tighter'] as const) {
    const found = changed.filter((one) => one.direction === direction)
    if (found.length > 0) print(headings[direction])
    for (const { count, text, example } of found) print(`  ${count} × ${text} (request ${example})`)
  }
  const others = changed.reduce((sum, { count }) => sum + count, 0)
  print(`${requests} recorded operations judged under both sets, ${others} of them otherwise`)
}
