import type { RequestView } from '../../api/request.ts'
import type { RequestState } from '../../custody/request.ts'

/**
 * The caller's own requests, newest first, starting right behind `after`; none behind one that is not its
 * own. `caller` null: an officer's, which are those that officers were asked about.
 */
export type ListRequests = (query: {
  readonly caller: string | null
  readonly state: RequestState | null
  readonly after: string | null
  readonly limit: number
}) => Promise<readonly RequestView[]>

/**
 * Null when there is none of this id, or it is another caller's; `caller` null: as above, or with `any` every one
 * that there is.
 */
export type ReadRequest = (query: {
  readonly caller: string | null
  readonly id: string
  readonly any: boolean
}) => Promise<RequestView | null>
