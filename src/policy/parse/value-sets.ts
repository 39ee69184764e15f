import { z } from 'zod'
import { parseRotationKey } from '../../plc/did-key.ts'
import type { ValueSet } from '../value-sets.ts'
import { malformed, name, oneOrMore, refuseRepeats } from './file.ts'

const values = z.record(name, oneOrMore(z.string().min(1).max(512))).optional()

export const valueSetsSchema = { domains: values, endpoints: values, keys: values }

type Written = { [Kind in ValueSet['kind']]?: Record<string, string[]> | undefined }

const kinds = ['domains', 'endpoints', 'keys'] as const

/** Every value in its one spelling: a set that no value can be in would be a rule that never matches. */
export function parseValueSets(written: Written): ValueSet[] {
  const sets = kinds.flatMap((kind) =>
    Object.entries(written[kind] ?? {}).map(([id, listed]) => ({ id, kind, values: listed })),
  )
  refuseRepeats(
    'policy.yaml',
    'value set',
    sets.map(({ id }) => id),
  )
  for (const { id, kind, values: listed } of sets) {
    const where = `policy.yaml: ${kind}.${id}`
    refuseRepeats(where, 'value', listed)
    for (const value of listed) checkValue(where, kind, value)
  }
  return sets
}

function checkValue(where: string, kind: ValueSet['kind'], value: string): void {
  switch (kind) {
    case 'domains':
      if (isDomain(value)) return
      throw malformed(`${where}: write example.com, or *.example.com for every name below it`)
    case 'endpoints':
      if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return
      throw malformed(`${where}: write an endpoint as identities name it: https://HOST`)
    case 'keys':
      if (isDidKey(value)) return
      throw malformed(`${where}: write a did:key of K-256 or P-256`)
  }
}

function isDomain(value: string): boolean {
  const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
  return value.length <= 253 && new RegExp(`^(\\*\\.)?${label}(\\.${label})+$`).test(value)
}

function isDidKey(value: string): boolean {
  try {
    parseRotationKey(value)
    return true
  } catch {
    return false
  }
}
