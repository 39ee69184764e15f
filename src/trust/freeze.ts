import { TrustError } from './error.ts'

/** What is stopped: everything, one caller or one key. */
export const SCOPE = /^(all|(?:caller|key) [a-z0-9][a-z0-9-]{0,62})$/
const FREEZE = /^(.+) since ([0-9-]{10}T[0-9:.]{12}Z) by (operator|person:[a-z0-9][a-z0-9-]{0,62})$/

export type Freeze = {
  readonly scope: string
  /** When it began: a later freeze of the same scope is another one, which no earlier word lifts. */
  readonly since: string
  /** `person:ID`, or `operator` at the host. */
  readonly by: string
}

/** What lifts them all must fit into one entry of the log. */
const MAX_FREEZES = 64

/** As the held record has it. */
export const freezeText = ({ scope, since, by }: Freeze): string =>
  `${scope} since ${since} by ${by}`

/** As the held record has it: `all since 2026-01-31T12:00:00.000Z by person:alice`. @throws TrustError `malformed` */
export function parseFreeze(text: string): Freeze {
  const [, scope = '', since = '', by = ''] = FREEZE.exec(text) ?? []
  if (SCOPE.test(scope) && !Number.isNaN(Date.parse(since))) return { scope, since, by }
  throw new TrustError('malformed', 'the held record is frozen in a way that is not known here')
}

/** One more; what is frozen already stays as it is. @throws TrustError */
export function addFreeze(
  frozen: readonly string[],
  { scope, by }: Pick<Freeze, 'scope' | 'by'>,
  now: Date,
): readonly string[] {
  if (!SCOPE.test(scope)) throw new TrustError('refused', 'freeze: all, caller NAME or key ID')
  if (frozen.some((text) => parseFreeze(text).scope === scope)) return frozen
  if (frozen.length >= MAX_FREEZES) {
    throw new TrustError('refused', 'so much is frozen already: freeze everything')
  }
  const added = freezeText({ scope, since: now.toISOString(), by })
  parseFreeze(added)
  return [...frozen, added].sort()
}

/** All that stops this caller, or one of these keys. @throws TrustError for what is not known here */
export function freezesOf(
  frozen: readonly string[],
  { caller, keys }: { readonly caller: string; readonly keys: readonly string[] },
): Freeze[] {
  const scopes = new Set(['all', `caller ${caller}`, ...keys.map((key) => `key ${key}`)])
  return frozen.map(parseFreeze).filter(({ scope }) => scopes.has(scope))
}
