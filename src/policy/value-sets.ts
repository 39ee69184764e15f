import type { OperationData } from '../plc/operation.ts'

/** Named lists of values that a rule may confine a change to: handles' domains, endpoints, keys. */
export type ValueSet = {
  readonly id: string
  readonly kind: 'domains' | 'endpoints' | 'keys'
  readonly values: readonly string[]
}

/**
 * Whether every value of the set's kind that an operation brings in lies in the set. What was there
 * before is not new, wherever it stood; where nothing is new, nothing lies outside.
 * @param before null for a genesis: then everything is new
 */
export function allInside(
  set: ValueSet,
  before: OperationData | null,
  after: OperationData | null,
): boolean {
  if (after === null) return true
  const old = new Set(before === null ? [] : valuesOf(set.kind, before))
  const added = valuesOf(set.kind, after).filter((value) => !old.has(value))
  return added.every((value) => contains(set, value))
}

function valuesOf(kind: ValueSet['kind'], data: OperationData): string[] {
  switch (kind) {
    case 'domains':
      return [...data.alsoKnownAs]
    case 'endpoints':
      // With the name and the type: an old endpoint in another role is a new value.
      return Object.entries(data.services).map(([id, { type, endpoint }]) =>
        JSON.stringify([id, type, endpoint]),
      )
    case 'keys':
      return [
        ...data.rotationKeys.map((key) => JSON.stringify(['rotation', key])),
        ...Object.entries(data.verificationMethods).map((entry) => JSON.stringify(entry)),
      ]
  }
}

function contains({ kind, values }: ValueSet, value: string): boolean {
  switch (kind) {
    case 'domains':
      return isHandleUnder(values, value)
    case 'endpoints':
    case 'keys':
      return values.includes((JSON.parse(value) as string[]).at(-1)!)
  }
}

/** Only `at://HANDLE`, in lower case as handles are normalised; anything else lies in no domain. */
function isHandleUnder(domains: readonly string[], name: string): boolean {
  const handle = /^at:\/\/([a-z0-9-]+(?:\.[a-z0-9-]+)+)$/.exec(name)?.[1]
  if (handle === undefined) return false
  return domains.some((domain) =>
    domain.startsWith('*.') ? handle.endsWith(domain.slice(1)) : handle === domain,
  )
}
