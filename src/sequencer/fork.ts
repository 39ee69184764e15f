import { encodeEntry } from '../audit/entry.ts'
import type { AuditEntry } from '../audit/entry.ts'
import { decodeEntry } from '../audit/decode.ts'
import { hashLeaf, rootOf } from '../audit/merkle.ts'
import type { Held, HeldStore } from './held.ts'
import type { AuditLogStore, LogHead } from './ports.ts'
import { extend } from './right-edge.ts'
import { loadEdge, planBatch } from './sequence.ts'
import { isSame } from './verified-log.ts'

export type ForkedEntry = Extract<AuditEntry, { kind: 'log.forked' }>

export type Forked =
  | { readonly kind: 'forked'; readonly held: Held }
  /** The database has all that was checkpointed: there is nothing to give up. */
  | { readonly kind: 'nothing-lost'; readonly size: number }
  /** It is not the log, or not the loss, that was approved. */
  | { readonly kind: 'another-loss'; readonly size: number; readonly had: number }
  /** Another instance is elected. */
  | { readonly kind: 'busy' }

/**
 * Lets a log go on from what is left of it, under a new name: its next entry names the checkpoint whose
 * entries are lost. The entry is written first, then the held record is swapped. A crash in between leaves
 * a database that is still behind; the same fork then finds its entry and swaps.
 * @param entry as it was approved
 */
export async function forkLog(
  store: AuditLogStore,
  heldStore: HeldStore,
  { held, entry }: { readonly held: Held; readonly entry: ForkedEntry },
): Promise<Forked> {
  const term = await store.elect()
  if (term === null) return { kind: 'busy' }
  try {
    const written = await lastFork(store, term.head)
    const isWritten = written !== null && isSameFork(written, entry)
    if (held.origin === entry.origin) return { kind: 'nothing-lost', size: held.size }
    const had = term.head.range.size - (isWritten ? 1 : 0)
    if (had >= held.size) return { kind: 'nothing-lost', size: had }
    if (had !== entry.had || entry.size !== held.size || !isSame(entry.root, held.root)) {
      return { kind: 'another-loss', size: held.size, had }
    }
    let { range } = await loadEdge(store, term.head)
    if (!isWritten) {
      const edge = await loadEdge(store, term.head)
      const { body } = encodeEntry(entry, term.head.now)
      range = extend(edge, [hashLeaf(body)]).edge.range
      await term.putBack((head) => planBatch(edge, head, [body], () => {}))
    }
    const next = { ...held, origin: entry.origin, size: range.size, root: rootOf(range) }
    return { kind: 'forked', held: await heldStore.replace(held, next) }
  } finally {
    await term.resign()
  }
}

async function lastFork(
  store: AuditLogStore,
  { range: { size } }: LogHead,
): Promise<ForkedEntry | null> {
  if (size === 0) return null
  const [last] = await store.bodies(size - 1, size)
  if (last === undefined) return null
  const { entry } = decodeEntry(last.body)
  return entry.kind === 'log.forked' ? entry : null
}

function isSameFork(left: ForkedEntry, right: ForkedEntry): boolean {
  const at = new Date(0)
  return isSame(encodeEntry(left, at).body, encodeEntry(right, at).body)
}
