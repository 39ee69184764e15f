import type { RequestState } from '../../custody/request.ts'
import type { OperationClass } from '../../policy/policy-set.ts'

/** A request as `/v1` shows it. Field order is the order in the JSON. */
export type RequestView = {
  /** A UUID in lower case. */
  readonly id: string
  readonly caller: string
  /** The id of the key. */
  readonly key: string
  readonly state: RequestState
  /** SHA-256 of the signing bytes, hex. */
  readonly digest: string
  readonly class: OperationClass
  /** Null for a genesis that is not signed yet. */
  readonly did: string | null
  readonly prev: string | null
  /** Ids of the rules and invariants that decided. */
  readonly rules: readonly string[]
  /** Why, for people. */
  readonly decision: string
  /** What the operation changes, for people: the one rendering of `plc/render.ts`. */
  readonly rendering: string
  /** As it stands in the signed operation: 86 characters of base64url. */
  readonly signature: string | null
  readonly cid: string | null
  /** Ids of the requests whose signature this one replaces. */
  readonly replaces: readonly string[]
  readonly createdAt: Date
  readonly intendedAt: Date | null
  readonly producedAt: Date | null
}

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
