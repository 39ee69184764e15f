import type { RecordedOperation } from '../directory/submit.ts'

/**
 * How far an operation of a ceremony has come.
 * - `planned`: not sent yet
 * - `sent`: under way, or the run died then: nobody knows
 * - `unknown`: sent, and the directory gave no definite answer
 * - `accepted`: the directory took it; its log has not been looked at since
 * - `observed`: in force in the directory's log
 * - `stale`: the identity has gone on with another operation; this one is never sent, plan it again
 * - `refused`: the directory will not take it
 * - `overruled`: it was in force and a stronger key took it out, or it took others out with it
 */
export const ledgerStates = [
  'planned',
  'sent',
  'unknown',
  'accepted',
  'observed',
  'stale',
  'refused',
  'overruled',
] as const
export type LedgerState = (typeof ledgerStates)[number]

/** What a run of `recovery submit` still has to settle. */
export const openStates = ['planned', 'sent', 'unknown', 'accepted'] as const

export type LedgerRow = {
  readonly recorded: RecordedOperation
  readonly prev: string
  readonly state: LedgerState
}

export type LedgerChange = {
  readonly state: LedgerState
  /** For people; foreign text in it is quoted and escaped. */
  readonly detail: string | null
  /** Not to be sent before so many milliseconds from now. */
  readonly waitMs: number | null
}

/** The durable side; each call is one transaction. */
export type Ledger = {
  /** Rows in one of these states whose time has come, by DID. */
  list(query: {
    readonly ceremony: string
    readonly states: readonly LedgerState[]
    readonly after: string
    readonly limit: number
  }): Promise<readonly LedgerRow[]>
  keep(row: LedgerRow, change: LedgerChange): Promise<void>
  counts(ceremony: string): Promise<Readonly<Record<LedgerState, number>>>
}
