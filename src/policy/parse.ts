import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { parseRotationKey } from '../plc/did-key.ts'
import { PolicyError } from './error.ts'
import { parsePdsAddress } from './pds-address.ts'
import { changeKinds, operationClasses } from './policy-set.ts'
import type { CallerConfig, DenyRule, KeyConfig, Limit, PolicySet, Rule } from './policy-set.ts'
import { parseStrictYaml } from './yaml.ts'

/** The three files of a policy set, as text. */
export type PolicyFiles = {
  readonly keys: string
  readonly callers: string
  readonly policy: string
}

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use a-z, 0-9 and -, at most 63 characters')
const ruleId = z
  .string()
  .regex(/^[A-Z][A-Z0-9-]{0,62}$/, 'use A-Z, 0-9 and -, at most 63 characters')
const oneOrMore = <T extends z.ZodType>(item: T) => z.array(item).min(1, 'must not be empty')
const op = oneOrMore(z.enum(operationClasses))
const keyClass = oneOrMore(z.enum(['online', 'recovery']))
const diff = z.union([z.literal('any'), oneOrMore(z.enum(changeKinds))])

const keysFile = z.strictObject({
  keys: z.literal('holdfast/keys/v1'),
  list: z.array(
    z.strictObject({
      id: name,
      class: z.enum(['online', 'recovery']),
      curve: z.enum(['K-256', 'P-256']),
      did: z.string(),
      uri: z.string().max(1024).optional(),
      development: z.boolean().optional(),
      exposed: z.boolean().optional(),
    }),
  ),
})

const callersFile = z.strictObject({
  callers: z.literal('holdfast/callers/v1'),
  list: z.array(
    z.strictObject({ name, keys: oneOrMore(name), pds: z.string().max(512).optional() }),
  ),
})

const policyFile = z.strictObject({
  policy: z.literal('holdfast/policy/v1'),
  env: z.enum(['dev', 'prod']),
  rules: z.array(
    z.strictObject({
      id: ruleId,
      match: z.strictObject({ op, key: keyClass, diff, caller: oneOrMore(name).optional() }),
      require: z.literal('none', 'only `none` is understood here: quorums need officers'),
      limits: z.strictObject({ global: z.string() }).optional(),
    }),
  ),
  deny: z
    .array(
      z.strictObject({
        id: ruleId,
        match: z.strictObject({
          op: op.optional(),
          key: keyClass.optional(),
          diff: diff.optional(),
          caller: oneOrMore(name).optional(),
        }),
      }),
    )
    .optional(),
})

/**
 * Reads a policy set: strict YAML, closed vocabulary, every name defined exactly once. An unknown
 * key, an undefined name or an empty list refuses the whole set.
 * @throws PolicyError `file-malformed`, naming the file and the field
 */
export function parsePolicySet(files: PolicyFiles): PolicySet {
  const keys = parseKeys(files.keys)
  const callers = parseCallers(files.callers, keys)
  const { env, rules, denies } = parseRules(files.policy, callers)
  const content = { env, keys, callers, rules, denies }
  return deepFreeze({ ...content, digest: digestOf(content) })
}

function parseKeys(text: string): KeyConfig[] {
  const file = 'keys.yaml'
  const { list } = parseFile(file, text, keysFile)
  const keys = list.map((entry): KeyConfig => {
    const where = `${file}: key ${entry.id}`
    checkPinnedKey(where, entry.did, entry.curve)
    if (entry.class === 'online' && entry.uri === undefined) {
      throw malformed(`${where}: an online key needs a uri`)
    }
    if (entry.class === 'recovery' && entry.uri !== undefined) {
      throw malformed(`${where}: a recovery key has no uri here; its private half stays offline`)
    }
    const { exposed = false, development = false, uri = null, ...key } = entry
    if (entry.class === 'recovery' && exposed) {
      throw malformed(`${where}: exposed is for online keys; replace a recovery key that was seen`)
    }
    return { ...key, uri, development, ...(exposed ? { exposed } : {}) }
  })
  refuseRepeats(
    file,
    'id',
    keys.map((key) => key.id),
  )
  refuseRepeats(
    file,
    'did',
    keys.map((key) => key.did),
  )
  return keys
}

function checkPinnedKey(where: string, did: string, curve: string): void {
  let actual: string
  try {
    actual = parseRotationKey(did).curve
  } catch (cause) {
    throw new PolicyError('file-malformed', `${where}: did is not a did:key of a rotation key`, {
      cause,
    })
  }
  if (actual !== curve) throw malformed(`${where}: did is a ${actual} key, but curve says ${curve}`)
}

function parseCallers(text: string, keys: readonly KeyConfig[]): CallerConfig[] {
  const file = 'callers.yaml'
  const { list } = parseFile(file, text, callersFile)
  refuseRepeats(
    file,
    'name',
    list.map((caller) => caller.name),
  )
  const callers = list.map(({ pds, ...caller }): CallerConfig => {
    const where = `${file}: caller ${caller.name}`
    return pds === undefined ? caller : { ...caller, pds: pdsAddress(where, pds) }
  })
  refuseRepeats(
    file,
    'pds',
    callers.flatMap(({ pds }) => pds ?? []),
  )
  for (const caller of list) {
    refuseRepeats(file, `key of caller ${caller.name}`, caller.keys)
    for (const id of caller.keys) {
      const key = keys.find((candidate) => candidate.id === id)
      if (key === undefined)
        throw malformed(`${file}: caller ${caller.name}: no key ${id} in keys.yaml`)
      if (key.class !== 'online') {
        throw malformed(
          `${file}: caller ${caller.name}: key ${id} is a ${key.class} key; callers use online keys`,
        )
      }
    }
  }
  return callers
}

function pdsAddress(where: string, text: string): string {
  try {
    return parsePdsAddress(text)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    throw malformed(`${where}: ${error.message}`)
  }
}

function parseRules(text: string, callers: readonly CallerConfig[]) {
  const file = 'policy.yaml'
  const parsed = parseFile(file, text, policyFile)
  const rules = parsed.rules.map((rule): Rule => {
    const { caller, ...match } = rule.match
    refuseUnknownCallers(`${file}: rule ${rule.id}`, caller ?? [], callers)
    return {
      id: rule.id,
      match: caller === undefined ? match : { ...match, caller },
      require: rule.require,
      limits: {
        global: rule.limits === undefined ? null : parseLimit(rule.id, rule.limits.global),
      },
    }
  })
  const denies = (parsed.deny ?? []).map((entry): DenyRule => {
    refuseUnknownCallers(`${file}: deny ${entry.id}`, entry.match.caller ?? [], callers)
    const given = Object.entries(entry.match).filter(([, value]) => value !== undefined)
    return { id: entry.id, match: Object.fromEntries(given) }
  })
  refuseRepeats(
    file,
    'id',
    [...rules, ...denies].map((rule) => rule.id),
  )
  for (const { id } of [...rules, ...denies]) {
    if (/^(PLC|PREV|DID|POLICY)-/.test(id)) {
      throw malformed(
        `${file}: ${id}: PLC-, PREV-, DID- and POLICY- are kept for the rules that always hold`,
      )
    }
  }
  return { env: parsed.env, rules, denies }
}

const limitUnits = { s: 1, m: 60, h: 3600, d: 86_400 } as const

function parseLimit(rule: string, text: string): Limit {
  const match = /^([1-9][0-9]{0,8})\/([1-9][0-9]{0,3})([smhd])$/.exec(text)
  if (match === null) {
    throw malformed(
      `policy.yaml: rule ${rule}: limits.global: write a count and a time, such as 20/1d`,
    )
  }
  const unit = match[3] as keyof typeof limitUnits
  return { count: Number(match[1]), seconds: Number(match[2]) * limitUnits[unit] }
}

function refuseUnknownCallers(
  where: string,
  names: readonly string[],
  callers: readonly CallerConfig[],
): void {
  for (const wanted of names) {
    if (!callers.some((caller) => caller.name === wanted)) {
      throw malformed(`${where}: no caller ${wanted} in callers.yaml`)
    }
  }
}

function refuseRepeats(file: string, what: string, values: readonly string[]): void {
  const repeated = values.find((value, index) => values.indexOf(value) !== index)
  if (repeated !== undefined) throw malformed(`${file}: ${what} ${repeated} is there twice`)
}

function parseFile<T extends z.ZodType>(file: string, text: string, schema: T): z.infer<T> {
  const result = schema.safeParse(parseStrictYaml(text, file))
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const path = issue === undefined || issue.path.length === 0 ? '' : ` ${issue.path.join('.')}:`
  throw malformed(`${file}:${path} ${issue?.message ?? 'not understood'}`)
}

function digestOf(content: Omit<PolicySet, 'digest'>): Uint8Array {
  return createHash('sha256')
    .update(dagCbor.encode({ ...content, format: 'holdfast/policy-set/v1' }))
    .digest()
}

function malformed(message: string): PolicyError {
  return new PolicyError('file-malformed', message)
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
