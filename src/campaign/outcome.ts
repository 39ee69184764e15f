/** What became of one identity of an enrolment. */
export type Outcome =
  | { readonly kind: 'enrolled' | 'refreshed'; readonly did: string; readonly head: string }
  /** In care before, and nothing new is known of it. */
  | { readonly kind: 'already'; readonly did: string }
  | NotDone

/**
 * `refused`: it is not this caller's to take. `invalid`: what was given is no log that verifies.
 * `unread`: nothing is known; trying again may help.
 */
export type NotDone = {
  readonly kind: 'refused' | 'invalid' | 'unread'
  /** null where not even that can be read. */
  readonly did: string | null
  /** Of a file. */
  readonly line?: number
  readonly reason: string
}

export const outcomeKinds = [
  'enrolled',
  'refreshed',
  'already',
  'refused',
  'invalid',
  'unread',
] as const satisfies readonly Outcome['kind'][]

/** Enough to see what is wrong. All of them are in `--json`. */
const MAX_KEPT = 1_000

/** Counts that add up to all that was asked, and the first of those that were not done. */
export type Tally = {
  readonly counts: Readonly<Record<Outcome['kind'], number>>
  readonly notDone: readonly NotDone[]
  add(outcome: Outcome): void
}

export function createTally(): Tally {
  const counts = { enrolled: 0, refreshed: 0, already: 0, refused: 0, invalid: 0, unread: 0 }
  const notDone: NotDone[] = []
  return {
    counts,
    notDone,
    add(outcome) {
      counts[outcome.kind] += 1
      if ('reason' in outcome && notDone.length < MAX_KEPT) notDone.push(outcome)
    },
  }
}

/** What was not read comes first: the others are final, that one should be run again. */
export function exitCodeOf(counts: Tally['counts']): 0 | 1 | 3 {
  if (counts.unread > 0) return 3
  return counts.refused + counts.invalid > 0 ? 1 : 0
}
