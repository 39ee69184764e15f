import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AuditError } from './audit/error.ts'
import { COSIGNATURE, parseVkey } from './audit/note.ts'
import { ConfigError } from './config.ts'
import { refusals } from './policy/analyse.ts'
import type { Problem } from './policy/analyse.ts'
import { PolicyError } from './policy/error.ts'
import { parsePolicySet } from './policy/parse.ts'
import type { PolicyFiles } from './policy/parse.ts'
import { parseTestCases } from './policy/parse/test-cases.ts'
import type { TestCase } from './policy/parse/test-cases.ts'
import type { PolicySet } from './policy/policy-set.ts'

export const policyFileNames = ['keys.yaml', 'callers.yaml', 'policy.yaml'] as const
/** The officers; a set that asks for no quorum needs none. Who is told; none: nobody. */
const optionalFiles = { roster: 'roster.yaml', notify: 'notify.yaml' } as const

/**
 * A set that a service may start with: one that keeps what every set must keep.
 * @throws ConfigError naming the folder, and the file and field or the rule that is wrong
 */
export async function loadPolicySet(dir: string): Promise<PolicySet> {
  const policies = await readPolicySet(dir)
  const refused = whyNotLoaded(policies, new Date())
  if (refused === null) return policies
  throw new ConfigError(`HOLDFAST_POLICIES_DIR: ${dir}: ${refused} (scripts/holdfast policy check)`)
}

/** Why no service starts with a set, and no officer puts it in force; null: it may be loaded. */
export function whyNotLoaded(policies: PolicySet, now: Date): string | null {
  const [refused] = [...witnessProblems(policies), ...refusals(policies, now)]
  return refused === undefined ? null : `${refused.check}: ${refused.message}`
}

/** On the day of a loss a witness may be gone too: a recovery, and what persons decide, never waits for one. */
export function witnessProblems({ rules, witnesses }: PolicySet): Problem[] {
  const asking = rules.filter(({ require: asked }) => asked !== 'none' && asked.witness)
  const others = asking.filter(({ match }) => match.key.some((key) => key !== 'online'))
  return [
    ...others.map(({ id }) => problem(`${id} asks for one, which goes with key: [online] alone`)),
    ...asking
      .filter(() => witnesses === undefined)
      .map(({ id }) => problem(`${id} asks for one, and policy.yaml names no witnesses:`)),
    ...(witnesses?.of ?? []).flatMap(({ key }) => keyProblems(key)),
  ]
}

function keyProblems(key: string): Problem[] {
  try {
    return parseVkey(key).type === COSIGNATURE
      ? []
      : [problem(`${key} is no key of a witness (cosignature/v1)`)]
  } catch (error) {
    if (error instanceof AuditError) return [problem(error.message)]
    throw error
  }
}

function problem(message: string): Problem {
  return { check: 'witness', severity: 'refuse', message }
}

/** Without what the analysis has to say of it. @throws ConfigError as above */
export async function readPolicySet(dir: string): Promise<PolicySet> {
  const files = await readPolicyFiles(dir)
  try {
    return parsePolicySet(files)
  } catch (cause) {
    if (!(cause instanceof PolicyError)) throw cause
    throw new ConfigError(`HOLDFAST_POLICIES_DIR: ${dir}/${cause.message}`, { cause })
  }
}

/**
 * The cases that stand beside a set, in `tests/*.yaml`; none where there is no such folder. They decide
 * nothing, and are not in the set's digest.
 * @throws ConfigError naming the file and the case
 */
export async function readTestCases(dir: string): Promise<TestCase[]> {
  const folder = join(dir, 'tests')
  const names = await readdir(folder).catch(() => [])
  const cases: TestCase[] = []
  for (const name of names.filter((file) => /\.ya?ml$/.test(file)).toSorted()) {
    const text = await readFile(join(folder, name), 'utf8')
    try {
      cases.push(...parseTestCases(`tests/${name}`, text))
    } catch (cause) {
      if (!(cause instanceof PolicyError)) throw cause
      throw new ConfigError(`HOLDFAST_POLICIES_DIR: ${dir}/${cause.message}`, { cause })
    }
  }
  return cases
}

export async function readPolicyFiles(dir: string): Promise<PolicyFiles> {
  const read = async (name: string) => {
    try {
      return await readFile(join(dir, name), 'utf8')
    } catch (cause) {
      throw new ConfigError(`HOLDFAST_POLICIES_DIR: cannot read ${join(dir, name)}`, { cause })
    }
  }
  const names = await readdir(dir).catch((cause: unknown) => {
    throw new ConfigError(`HOLDFAST_POLICIES_DIR: cannot read ${dir}`, { cause })
  })
  const files = {
    keys: await read('keys.yaml'),
    callers: await read('callers.yaml'),
    policy: await read('policy.yaml'),
    ...(names.includes(optionalFiles.roster) ? { roster: await read(optionalFiles.roster) } : {}),
    ...(names.includes(optionalFiles.notify) ? { notify: await read(optionalFiles.notify) } : {}),
  }
  // A file that is there but not read would be a rule that somebody believes to be in force.
  const known: readonly string[] = [...policyFileNames, ...Object.values(optionalFiles)]
  const stray = names.find((name) => /\.ya?ml$/.test(name) && !known.includes(name))
  if (stray !== undefined) {
    throw new ConfigError(
      `HOLDFAST_POLICIES_DIR: ${join(dir, stray)} is none of ${known.join(', ')}`,
    )
  }
  return files
}
