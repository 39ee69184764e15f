import { z } from 'zod'
import { actClasses, changeKinds, keyMatches, ruleClasses } from '../policy-set.ts'
import type { CallerConfig, DenyRule, Limit, Match, Rule, RuleClass } from '../policy-set.ts'
import type { ValueSet } from '../value-sets.ts'
import { malformed, name, oneOrMore, refuseRepeats } from './file.ts'
import type { Group } from './groups.ts'
import { parseRequirement, requirementSchema } from './requirement.ts'

const ruleId = z
  .string()
  .regex(/^[A-Z][A-Z0-9-]{0,62}$/, 'use A-Z, 0-9 and -, at most 63 characters')
const op = oneOrMore(z.enum(ruleClasses))
const key = oneOrMore(z.enum(keyMatches))
const diff = z.union([z.literal('any'), oneOrMore(z.enum(changeKinds))])
const caller = oneOrMore(name).optional()

export const rulesSchema = {
  rules: z.array(
    z.strictObject({
      id: ruleId,
      match: z.strictObject({ op, key, diff, caller, to: oneOrMore(name).optional() }),
      ...requirementSchema,
      limits: z
        .strictObject({ global: z.string().optional(), perDid: z.string().optional() })
        .optional(),
    }),
  ),
  deny: z
    .array(
      z.strictObject({
        id: ruleId,
        match: z.strictObject({
          op: op.optional(),
          key: key.optional(),
          diff: diff.optional(),
          caller,
        }),
      }),
    )
    .optional(),
}

type RulesFile = z.infer<z.ZodObject<typeof rulesSchema>>
type RuleEntry = RulesFile['rules'][number]

export type Named = {
  readonly callers: readonly CallerConfig[]
  readonly groups: readonly Group[]
  readonly valueSets: readonly ValueSet[]
  /** Whether there is a roster: without one, the operator's own word must do for acts. */
  readonly officers: boolean
}

export function parseRules(
  written: RulesFile,
  named: Named,
): { rules: Rule[]; denies: DenyRule[] } {
  const rules = written.rules.map((entry) => toRule(entry, named))
  const denies = (written.deny ?? []).map((entry) => toDeny(entry, named))
  const ids = [...rules, ...denies].map(({ id }) => id)
  refuseRepeats('policy.yaml', 'id', ids)
  for (const id of ids) {
    if (/^(PLC|PREV|DID|POLICY)-/.test(id)) {
      throw malformed(
        `policy.yaml: ${id}: PLC-, PREV-, DID- and POLICY- are kept for the rules that always hold`,
      )
    }
  }
  return { rules, denies }
}

function toRule(entry: RuleEntry, named: Named): Rule {
  const where = `policy.yaml: rule ${entry.id}`
  const rule: Rule = {
    id: entry.id,
    match: toMatch(where, entry.match, named),
    require: parseRequirement(where, entry, named.groups),
    limits: {
      global: toLimit(where, 'global', entry.limits?.global),
      perDid: toLimit(where, 'perDid', entry.limits?.perDid),
    },
  }
  checkMeaning(where, rule, named.officers)
  return rule
}

/** What the words allow to be written, and what could never do what it says. */
function checkMeaning(where: string, { match, limits, ...rule }: Rule, officers: boolean): void {
  const isAct = match.op.some((op) => isActClass(op))
  if (match.op.includes('genesis') && rule.require !== 'none') {
    throw malformed(
      `${where}: a genesis is allowed or denied, never put to a quorum: a sign-up makes other bytes on every try`,
    )
  }
  if (match.op.includes('genesis') && limits.perDid !== null) {
    throw malformed(`${where}: limits.perDid: a genesis has no identity yet; use limits.global`)
  }
  if (isAct && (limits.global !== null || limits.perDid !== null)) {
    throw malformed(`${where}: limits: only operations are counted, not ${match.op.join(', ')}`)
  }
  if (isAct && officers && rule.require === 'none') {
    throw malformed(`${where}: require: ${match.op.join(', ')} needs a quorum, never none`)
  }
}

function isActClass(op: RuleClass): boolean {
  const acts: readonly RuleClass[] = actClasses
  return acts.includes(op)
}

/** What is left out is not there at all, so that it does not enter the digest. */
function toMatch(where: string, { caller, to, ...match }: RuleEntry['match'], named: Named): Match {
  refuseUnknownCallers(where, caller ?? [], named.callers)
  if (to !== undefined) checkValueSets(where, to, named.valueSets)
  return {
    ...match,
    ...(caller === undefined ? {} : { caller }),
    ...(to === undefined ? {} : { to }),
  }
}

function toDeny(entry: NonNullable<RulesFile['deny']>[number], named: Named): DenyRule {
  refuseUnknownCallers(`policy.yaml: deny ${entry.id}`, entry.match.caller ?? [], named.callers)
  const given = Object.entries(entry.match).filter(([, value]) => value !== undefined)
  return { id: entry.id, match: Object.fromEntries(given) }
}

function checkValueSets(where: string, to: readonly string[], sets: readonly ValueSet[]): void {
  const kinds = to.map((id) => {
    const found = sets.find((set) => set.id === id)
    if (found === undefined) throw malformed(`${where}: match.to: no value set ${id}`)
    return found.kind
  })
  refuseRepeats(where, 'match.to: a set of', kinds)
}

function refuseUnknownCallers(
  where: string,
  names: readonly string[],
  callers: readonly CallerConfig[],
): void {
  for (const wanted of names) {
    if (!callers.some((known) => known.name === wanted)) {
      throw malformed(`${where}: no caller ${wanted} in callers.yaml`)
    }
  }
}

const limitUnits = { s: 1, m: 60, h: 3600, d: 86_400 } as const

function toLimit(where: string, which: string, text: string | undefined): Limit | null {
  if (text === undefined) return null
  const match = /^([1-9][0-9]{0,8})\/([1-9][0-9]{0,3})([smhd])$/.exec(text)
  if (match === null) {
    throw malformed(`${where}: limits.${which}: write a count and a time, such as 20/1d`)
  }
  const unit = match[3] as keyof typeof limitUnits
  return { count: Number(match[1]), seconds: Number(match[2]) * limitUnits[unit] }
}
