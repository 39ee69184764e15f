import { MAX_PAGE, listQuery, requestId } from '../../api/request.ts'
import type { RequestState } from '../../custody/request.ts'
import { ProblemError } from '../problem.ts'

export type ListQuery = {
  readonly state: RequestState | null
  readonly after: string | null
  readonly limit: number
}

const DEFAULT_LIMIT = 50

/**
 * From the target of the request line. Hono's URL begins with whatever the Host header says, and may be none.
 *
 * @throws ProblemError `malformed`
 */
export function parseListQuery(target: string): ListQuery {
  const mark = target.indexOf('?')
  const pairs = [...new URLSearchParams(mark === -1 ? '' : target.slice(mark))]
  const parsed = listQuery.safeParse(Object.fromEntries(pairs))
  if (!parsed.success || new Set(pairs.map(([name]) => name)).size !== pairs.length) {
    throw new ProblemError(
      'malformed',
      `the query takes state, cursor and limit (1 to ${MAX_PAGE}), each at most once`,
    )
  }
  const { state, cursor, limit } = parsed.data
  return { state: state ?? null, after: cursor ?? null, limit: limit ?? DEFAULT_LIMIT }
}

/** What is no id is the id of nothing: the store is not asked. */
export function isRequestId(text: string): boolean {
  return requestId.safeParse(text).success
}
