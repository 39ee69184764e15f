import { entriesQuery, entryIndex, MAX_ENTRIES } from '../../api/audit.ts'
import type { CheckpointView, EntryList } from '../../api/audit.ts'
import { ProblemError } from '../problem.ts'
import type { Actor } from './actions.ts'

/** What the doors show of the log; only what a checkpoint covers. */
export type AuditReads = {
  /** null: nothing has been checkpointed yet. */
  readonly readCheckpoint: () => Promise<{ size: number; note: string } | null>
  /** Cosigned by a quorum of witnesses. */
  readonly readCosigned: () => Promise<{ note: string } | null>
  /** Bodies from an index on, at most so many. */
  readonly readEntries: (
    from: number,
    to: number,
  ) => Promise<readonly { readonly index: number; readonly body: Uint8Array }[]>
  /** A receipt. */
  readonly proveEntry: (index: number) => Promise<string>
}

export async function newestCheckpoint({
  readCheckpoint,
  readCosigned,
}: AuditReads): Promise<CheckpointView> {
  const [found, cosigned] = await Promise.all([readCheckpoint(), readCosigned()])
  if (found === null) throw new ProblemError('not-found', 'nothing has been checkpointed yet')
  return { size: found.size, checkpoint: found.note, cosigned: cosigned?.note ?? null }
}

/** @param target of the request line @throws ProblemError */
export async function listEntries(
  actor: Actor,
  target: string,
  deps: AuditReads,
): Promise<EntryList> {
  requireOfficer(actor)
  const { from, limit } = parseQuery(target)
  const { size } = await newestCheckpoint(deps)
  const rows = from < size ? await deps.readEntries(from, Math.min(size, from + limit)) : []
  const entries = rows.map(({ index, body }) => ({
    index,
    body: Buffer.from(body).toString('base64'),
  }))
  return { size, entries }
}

/** @throws ProblemError */
export async function proveOne(actor: Actor, text: string, deps: AuditReads): Promise<string> {
  requireOfficer(actor)
  const { size } = await newestCheckpoint(deps)
  const index = entryIndex.safeParse(text).success ? Number(text) : size
  if (index >= size) throw new ProblemError('not-found', 'no checkpoint covers such an entry')
  return await deps.proveEntry(index)
}

/** Entries are about the identities of all callers. */
function requireOfficer(actor: Actor): void {
  if (actor.kind === 'officer') return
  throw new ProblemError(
    'forbidden',
    'only officers read the log here; audit export is for auditors',
  )
}

function parseQuery(target: string): { from: number; limit: number } {
  const mark = target.indexOf('?')
  const pairs = [...new URLSearchParams(mark === -1 ? '' : target.slice(mark))]
  const parsed = entriesQuery.strict().safeParse(Object.fromEntries(pairs))
  if (!parsed.success || new Set(pairs.map(([name]) => name)).size !== pairs.length) {
    const message = `the query takes from and limit (1 to ${MAX_ENTRIES}), each at most once`
    throw new ProblemError('malformed', message)
  }
  const { from = 0, limit = MAX_ENTRIES } = parsed.data
  return { from, limit }
}
