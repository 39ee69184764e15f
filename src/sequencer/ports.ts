import type { AuditEntry } from '../audit/entry.ts'
import type { CompactRange } from '../audit/merkle.ts'
import type { FullTile } from './right-edge.ts'

export type LogHead = {
  readonly epoch: number
  readonly range: CompactRange
  /** Postgres's clock. */
  readonly now: Date
}

export type LogEntry = {
  readonly index: number
  readonly leaf: Uint8Array
  readonly body: Uint8Array
  readonly lookUp: string | null
}

/** Where the log's edge is after leaves were appended, and the tiles that they filled. */
export type Advanced = { readonly tiles: readonly FullTile[]; readonly range: CompactRange }

/** Pure; throws when the log is not where this instance left it. */
export type Advance = (head: LogHead, leaves: readonly Uint8Array[]) => Advanced

/** What one transaction appends. */
export type Plan = Advanced & { readonly entries: readonly LogEntry[] }

/** The elected instance's hold on the log. */
export type Sequencing = {
  readonly head: LogHead
  /**
   * Takes entries out of the outbox, in the order of their ids, and appends them.
   * @returns how many. Throws when the term is over; then what was taken is back in the outbox.
   */
  drain(limit: number, advance: Advance): Promise<number>
  /**
   * Appends the entry that begins a log, or names one that was given up.
   */
  putBack(plan: (head: LogHead) => Plan): Promise<void>
  /**
   * Appends entries that were exported, with the rows that they were written with, and says so by an
   * entry in the outbox. What is still in the outbox of them goes: a backup holds entries that were
   * appended after it was made. It is one transaction, so what dies on the way leaves nothing of it; so does
   * a plan that throws.
   */
  restore(plans: (head: LogHead) => AsyncIterable<Plan>, said: AuditEntry): Promise<void>
  resign(): Promise<void>
}

export type StoredEntry = {
  readonly index: number
  readonly body: Uint8Array
  readonly indexed: boolean
}

export type PublishedCheckpoint = { readonly size: number; readonly note: string }

/** The log in the database, which is believed in nothing that hashes do not prove. */
export type AuditLogStore = {
  head(): Promise<LogHead>
  /** `indexed`: the database finds it as what it is. */
  bodies(from: number, to: number): Promise<StoredEntry[]>
  leaves(from: number, to: number): Promise<Uint8Array[]>
  /** Hashes of the full tiles of a level, 8192 bytes each. */
  tiles(level: number, from: number, to: number): Promise<Uint8Array[]>
  isEmpty(): Promise<boolean>
  checkpoint(): Promise<PublishedCheckpoint | null>
  publish(checkpoint: PublishedCheckpoint): Promise<void>
  /** null: another instance is elected. */
  elect(): Promise<Sequencing | null>
}
