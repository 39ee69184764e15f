import type { CompactRange } from '../audit/merkle.ts'
import type { FullTile } from './right-edge.ts'

export type LogHead = {
  readonly epoch: number
  readonly range: CompactRange
  /** Postgres's clock. */
  readonly now: Date
}

/** An entry that was taken out of the outbox, in the order of its id. */
export type Drained = {
  readonly id: bigint
  readonly lookUp: string | null
  readonly body: Uint8Array
}

export type LogEntry = {
  readonly index: number
  readonly leaf: Uint8Array
  readonly body: Uint8Array
  readonly lookUp: string | null
}

/** What one transaction appends. */
export type Plan = {
  readonly entries: readonly LogEntry[]
  readonly tiles: readonly FullTile[]
  readonly range: CompactRange
}

/** The elected instance's hold on the log. */
export type Sequencing = {
  readonly head: LogHead
  /** null: nothing waited. Throws when the term is over; what was planned is then not in the log. */
  drain(limit: number, plan: (head: LogHead, taken: Drained[]) => Plan): Promise<Plan | null>
  /**
   * Appends entries that were exported, with the rows that they were written with. What is still in the
   * outbox of them goes: a backup holds entries that were appended after it was made.
   */
  putBack(plan: (head: LogHead) => Plan): Promise<void>
  resign(): Promise<void>
}

export type PublishedCheckpoint = { readonly size: number; readonly note: string }

/** The log in the database, which is believed in nothing that hashes do not prove. */
export type AuditLogStore = {
  head(): Promise<LogHead>
  bodies(from: number, to: number): Promise<{ index: number; body: Uint8Array }[]>
  leaves(from: number, to: number): Promise<Uint8Array[]>
  /** Hashes of the full tiles of a level, 8192 bytes each. */
  tiles(level: number, from: number, to: number): Promise<Uint8Array[]>
  isEmpty(): Promise<boolean>
  checkpoint(): Promise<PublishedCheckpoint | null>
  publish(checkpoint: PublishedCheckpoint): Promise<void>
  /** null: another instance is elected. */
  elect(): Promise<Sequencing | null>
}
