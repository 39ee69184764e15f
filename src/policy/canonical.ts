import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { PolicyError } from './error.ts'
import { actClasses, changeKinds, keyMatches, operationClasses, ruleClasses } from './policy-set.ts'
import type { PolicySet, RuleClass } from './policy-set.ts'
import type { QuorumNode } from './quorum.ts'

/** What the digest of a policy set is taken over. Officers are not in it: they have a chain of their own. */
export type PolicyContent = Omit<PolicySet, 'digest' | 'roster'>

const FORMAT = 'holdfast/policy-set/v1'

/** Canonical DAG-CBOR: the bytes whose SHA-256 is the digest of the set. */
export function policySetBytes(content: PolicyContent): Uint8Array {
  const { env, keys, callers, rules, denies, groups, valueSets, minimum, publication } = content
  const { witnesses } = content
  return new Uint8Array(
    dagCbor.encode({
      format: FORMAT,
      env,
      keys,
      callers,
      rules,
      denies,
      groups,
      valueSets,
      minimum,
      publication,
      ceremony: content.ceremony,
      notify: content.notify,
      // A set from before there were any keeps its digest.
      ...(witnesses === undefined ? {} : { witnesses }),
    }),
  )
}

export function policySetDigest(content: PolicyContent): Uint8Array {
  return sha256(policySetBytes(content))
}

const text = z.string()
const texts = z.array(text)
const count = z.int().min(0)
const ruleClass = z.enum([...operationClasses, ...actClasses])

const key = z.strictObject({
  id: text,
  class: z.enum(['online', 'recovery']),
  curve: z.enum(['K-256', 'P-256']),
  did: text,
  uri: text.nullable(),
  homes: texts.exactOptional(),
  development: z.boolean(),
  exposed: z.literal(true).exactOptional(),
  retired: z.literal(true).exactOptional(),
})

const caller = z.strictObject({
  name: text,
  keys: texts,
  pds: text.exactOptional(),
  operatedBy: texts.exactOptional(),
})

const node: z.ZodType<QuorumNode> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('person'), id: text }),
  z.strictObject({
    kind: z.literal('group'),
    id: text,
    k: count,
    get of() {
      return z.array(node)
    },
  }),
])

const group = z.strictObject({ kind: z.literal('group'), id: text, k: count, of: z.array(node) })

const match = z.strictObject({
  op: z.array(ruleClass),
  key: z.array(z.enum(keyMatches)),
  diff: z.union([z.literal('any'), z.array(z.enum(changeKinds))]),
  caller: texts.exactOptional(),
  to: texts.exactOptional(),
})

const limit = z.strictObject({ count, seconds: count }).nullable()

const requirement = z.strictObject({
  rule: text,
  quorum: node,
  separate: z.strictObject({ orgs: count }).nullable(),
  approveBy: count,
  executeBy: count,
  delay: count,
  channel: z.strictObject({ cli: count }).nullable(),
  witness: z.boolean(),
  alarm: z.boolean(),
})

const schema = z.strictObject({
  format: z.literal(FORMAT),
  env: z.enum(['dev', 'prod']),
  keys: z.array(key),
  callers: z.array(caller),
  rules: z.array(
    z.strictObject({
      id: text,
      match,
      require: z.union([z.literal('none'), requirement]),
      limits: z.strictObject({ global: limit, perDid: limit }),
    }),
  ),
  denies: z.array(
    z.strictObject({
      id: text,
      match: z.strictObject({
        op: match.shape.op.exactOptional(),
        key: match.shape.key.exactOptional(),
        diff: match.shape.diff.exactOptional(),
        caller: texts.exactOptional(),
      }),
    }),
  ),
  groups: z.array(group),
  valueSets: z.array(
    z.strictObject({ id: text, kind: z.enum(['domains', 'endpoints', 'keys']), values: texts }),
  ),
  minimum: z
    .strictObject(
      Object.fromEntries(ruleClasses.map((id) => [id, count])) as Record<RuleClass, z.ZodInt>,
    )
    .nullable(),
  publication: count.nullable(),
  ceremony: z
    .strictObject({ approversMayOperate: z.boolean(), operators: count, observers: count })
    .nullable(),
  notify: z
    .strictObject({
      webhooks: z.array(z.strictObject({ id: text, url: text })),
      mail: z.strictObject({ from: text }).nullable(),
    })
    .nullable(),
  witnesses: z
    .strictObject({ quorum: count, of: z.array(z.strictObject({ url: text, key: text })) })
    .exactOptional(),
})

/**
 * A policy set from its canonical bytes, for who judges again what was once decided under it. That it
 * means what its files said was checked when they were parsed; here it must have the shape.
 * @returns without a roster
 * @throws PolicyError `file-malformed` for anything but the canonical bytes of a set of this format
 */
export function decodePolicySet(bytes: Uint8Array): PolicySet {
  const { format: _, ...content } = readContent(bytes)
  if (Buffer.compare(policySetBytes(content), bytes) !== 0) throw notCanonical()
  return { ...content, digest: sha256(bytes), roster: null }
}

function readContent(bytes: Uint8Array) {
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (cause) {
    throw notCanonical(cause)
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.map(String).join('.') ?? ''
  throw new PolicyError('file-malformed', `policy set: ${where}: ${issue?.message ?? 'unknown'}`)
}

function notCanonical(cause?: unknown): PolicyError {
  return new PolicyError('file-malformed', 'policy set: not its canonical bytes', { cause })
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}
