import { parseCheckpointText } from '../../src/audit/checkpoint.ts'
import { decodeEntry } from '../../src/audit/decode.ts'
import type { JudgedRequest } from '../../src/audit/entry.ts'
import { AuditError } from '../../src/audit/error.ts'
import { parseNote } from '../../src/audit/note.ts'
import { replay } from '../../src/audit/replay.ts'
import type { Replayed } from '../../src/audit/replay.ts'
import { TILE_WIDTH } from '../../src/audit/tile.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { UsageError } from './command.ts'
import { readBundle, readIn } from './verify/audit/folder.ts'

/** Recorded operations that would be answered otherwise, those that are alike together. */
export type ReplayReport = {
  readonly requests: number
  readonly changed: readonly (Replayed & { readonly count: number; readonly example: string })[]
}

/**
 * Puts every recorded operation of an exported log to two policy sets. The export is read as it is:
 * whether it is whole is `audit verify`'s word.
 * @throws UsageError for a folder that is no export
 */
export function replayExport(
  dir: string,
  sets: { readonly old: PolicySet; readonly next: PolicySet },
): ReplayReport {
  const results = new Map<string, Replayed | null>()
  for (const { entry, at } of judgedIn(dir)) results.set(entry.request, replay(entry, at, sets))
  const groups = new Map<string, Replayed & { count: number; example: string }>()
  for (const [example, replayed] of results) {
    if (replayed === null) continue
    const group = groups.get(replayed.text) ?? { ...replayed, count: 0, example }
    group.count += 1
    groups.set(replayed.text, group)
  }
  const order = { looser: 0, otherwise: 1, tighter: 2 }
  const changed = [...groups.values()].toSorted((a, b) => order[a.direction] - order[b.direction])
  return { requests: results.size, changed }
}

function* judgedIn(dir: string): Generator<{ entry: JudgedRequest; at: number }> {
  const note = readIn(dir, 'checkpoint')
  if (note === null)
    throw new UsageError(`--replay: ${dir} has no file "checkpoint"; audit export writes one`)
  const { size } = parseCheckpointText(parseNote(note).text)
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - first)
    const bodies = readBundle(dir, first / TILE_WIDTH, width)
    if (bodies === null)
      throw new UsageError(`--replay: entries from ${first} on are not in ${dir}`)
    for (const body of bodies) {
      const { entry, at } = decodeOr(dir, body)
      if (entry.kind === 'request.proposed' || entry.kind === 'request.denied') yield { entry, at }
    }
  }
}

function decodeOr(dir: string, body: Uint8Array): ReturnType<typeof decodeEntry> {
  try {
    return decodeEntry(body)
  } catch (error) {
    if (error instanceof AuditError) throw new UsageError(`--replay: ${dir}: ${error.message}`)
    throw error
  }
}
