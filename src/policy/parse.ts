import { z } from 'zod'
import { policySetDigest } from './canonical.ts'
import { parseCallers } from './parse/callers.ts'
import { malformed, parseDuration, parseFile } from './parse/file.ts'
import { groupsSchema, resolveGroups } from './parse/groups.ts'
import { parseKeys } from './parse/keys.ts'
import { parseNotify } from './parse/notify.ts'
import { parseRoster } from './parse/roster.ts'
import { parseRules, rulesSchema } from './parse/rules.ts'
import { parseValueSets, valueSetsSchema } from './parse/value-sets.ts'
import { parseWitnesses, witnessesSchema } from './parse/witnesses.ts'
import { ruleClasses } from './policy-set.ts'
import type { PolicySet, RuleClass } from './policy-set.ts'

/** The files of a policy set, as text. A set without officers has no roster. */
export type PolicyFiles = {
  readonly keys: string
  readonly callers: string
  readonly policy: string
  readonly roster?: string
  /** Who is told; absent: nobody is. */
  readonly notify?: string
}

const minimumSchema = z.strictObject(
  Object.fromEntries(ruleClasses.map((id) => [id, z.int().min(0).max(1000)])) as Record<
    RuleClass,
    z.ZodInt
  >,
)

const policyFile = z.strictObject({
  policy: z.literal('holdfast/policy/v1'),
  env: z.enum(['dev', 'prod']),
  groups: groupsSchema.optional(),
  ...valueSetsSchema,
  minimum: minimumSchema.optional(),
  publication: z.string().optional(),
  ceremony: z
    .strictObject({
      approversMayOperate: z.boolean(),
      operators: z.int().min(1).max(100),
      observers: z.int().min(0).max(100),
    })
    .optional(),
  witnesses: witnessesSchema.optional(),
  ...rulesSchema,
})

/**
 * Reads a policy set: strict YAML, closed vocabulary, every name defined exactly once. An unknown
 * key, an undefined name or an empty list refuses the whole set.
 * @throws PolicyError `file-malformed`, naming the file and the field
 */
export function parsePolicySet(files: PolicyFiles): PolicySet {
  const keys = parseKeys(files.keys)
  const roster = files.roster === undefined ? null : parseRoster(files.roster, keys)
  const callers = parseCallers(files.callers, { keys, roster })
  const written = parseFile('policy.yaml', files.policy, policyFile)
  if (roster !== null && roster.env !== written.env) {
    throw malformed(`roster.yaml: env is ${roster.env}, but policy.yaml says ${written.env}`)
  }
  const groups = resolveGroups(written.groups ?? {}, roster)
  const valueSets = parseValueSets(written)
  const { rules, denies } = parseRules(written, {
    callers,
    groups,
    valueSets,
    officers: roster !== null,
  })
  const minimum = written.minimum ?? null
  if (minimum === null && rules.some((rule) => rule.require !== 'none')) {
    throw malformed(
      'policy.yaml: minimum: say for each class how many persons it needs; a rule asks for a quorum',
    )
  }
  const content = {
    env: written.env,
    keys,
    callers,
    rules,
    denies,
    groups,
    valueSets,
    minimum,
    publication: publicationOf(written.publication),
    ceremony: written.ceremony ?? null,
    notify: parseNotify(files.notify),
    ...parseWitnesses(written.witnesses),
  }
  return deepFreeze({ ...content, digest: policySetDigest(content), roster })
}

function publicationOf(text: string | undefined): number | null {
  if (text === undefined) return null
  const seconds = parseDuration(text)
  if (seconds === null) throw malformed('policy.yaml: publication: write a time such as 6h')
  return seconds
}

function deepFreeze<T>(value: T): T {
  if (
    typeof value === 'object' &&
    value !== null &&
    !ArrayBuffer.isView(value) &&
    !Object.isFrozen(value)
  ) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}
