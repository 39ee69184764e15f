import type { RequestView } from '../../api/request.ts'
import type { RequestState } from '../../custody/request.ts'

/** The caller's own requests, newest first, starting right behind `after`; none behind one that is not its own. */
export type ListRequests = (query: {
  readonly caller: string
  readonly state: RequestState | null
  readonly after: string | null
  readonly limit: number
}) => Promise<readonly RequestView[]>

/** Null when there is none of this id, or it is another caller's. */
export type ReadRequest = (query: {
  readonly caller: string
  readonly id: string
}) => Promise<RequestView | null>
