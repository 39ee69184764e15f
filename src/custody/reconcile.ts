import { settle } from './submit.ts'
import type { SubmitDeps } from './submit.ts'

/** One read each; the directory allows 100 a minute to one address. */
const LOOKS_PER_RUN = 20

export type Reconciled = {
  readonly looked: number
  readonly confirmed: number
  readonly lost: number
  /** The directory could not be read for these. */
  readonly unread: number
}

/**
 * Looks in the directory's log for what was submitted and not seen there since: an answer that never
 * came, or a service that died before it read the log. Submits nothing. After an abort it ends with the
 * look that is under way.
 */
export async function reconcile(deps: SubmitDeps, signal: AbortSignal): Promise<Reconciled> {
  const open = await deps.submissions.listOpen(LOOKS_PER_RUN)
  const found = { looked: 0, confirmed: 0, lost: 0, unread: 0 }
  for (const recorded of open) {
    if (signal.aborted) break
    const { kind } = await settle(deps, recorded)
    found.looked += 1
    if (kind === 'active') found.confirmed += 1
    if (kind === 'lost') found.lost += 1
    if (kind === 'unread') found.unread += 1
    // The others would not be answered either, and the directory has trouble enough.
    if (kind === 'unread') break
  }
  return found
}
