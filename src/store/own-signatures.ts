import type { ClaimInput, ClaimSnapshot, StoredRequest } from '../custody/ports.ts'
import { StoreError } from './error.ts'

/** A signature whose record this process has committed itself. */
type Own = {
  readonly id: string
  readonly did: string
  readonly digest: string
  /** Those of its rules that have a limit. */
  readonly limited: readonly string[]
  readonly intendedAt: Date
  readonly producedAt: Date
}

type Claim = Omit<Own, 'did' | 'producedAt'> & { readonly prev: string | null }

export type OwnSignatures = {
  /** A claim is committed. */
  claimed(claim: Claim): void
  /** So is its outcome. */
  recorded(id: string, outcome: { readonly did: string; readonly at: Date }): void
  /**
   * What matters for a question. To be asked before its rows are read: what is here was committed
   * earlier, and what is committed meanwhile is not among it.
   */
  seen(input: ClaimInput): Seen
}

export type Seen = {
  /** On the same `prev`, or of the same genesis. */
  readonly here: readonly Own[]
  readonly ofDid: readonly Own[]
  /** Of each limited rule. */
  readonly uses: ReadonlyMap<string, readonly Own[]>
}

type Counts = Pick<ClaimSnapshot, 'now' | 'operationCounts' | 'ruleCounts' | 'didRuleCounts'>

/** Of signatures and of claims: a signature is some hundred bytes, and only the newest can matter. */
const KEPT = 50_000
/** Both clocks are Postgres's, read a moment apart. */
const MARGIN_MS = 5_000

const HOUR_MS = 3_600_000

/**
 * What this process has signed, kept where no row can take it back: whoever deletes requests neither
 * empties a limit nor frees a `prev`, as long as the process that signed is the one that is asked. Made
 * anew at each start; then only what the rows and the log say is known.
 */
export function createOwnSignatures(): OwnSignatures {
  const claims = new Map<string, Claim>()
  const places = new Map<string, Own[]>()
  const dids = new Map<string, Own[]>()
  const uses = new Map<string, Own[]>()

  function recorded(id: string, { did, at }: { did: string; at: Date }): void {
    const claim = claims.get(id)
    if (claim === undefined) return
    claims.delete(id)
    const { prev, ...rest } = claim
    const own: Own = { ...rest, did, producedAt: at }
    add(places, placeOf({ did, prev, digest: own.digest }), own)
    add(dids, did, own)
    for (const rule of own.limited) add(uses, rule, own)
  }

  return {
    claimed(claim) {
      claims.set(claim.id, claim)
      trim(claims)
    },
    recorded,
    seen: ({ subject, digest, limited }) => {
      const did = subject.previous?.did ?? ''
      const place = placeOf({ did, prev: subject.operation.prev, digest: hex(digest) })
      return {
        here: places.get(place) ?? [],
        ofDid: dids.get(did) ?? [],
        uses: new Map(limited.map(({ id }) => [id, uses.get(id) ?? []])),
      }
    },
  }
}

/**
 * The counts of a snapshot, which are never lower than what was signed here.
 * @throws StoreError `row-tampered` when fewer uses of a limited rule are on record
 */
export function checkedCounts<T extends Counts>(seen: Seen, input: ClaimInput, snapshot: T): T {
  checkUses(input, snapshot, seen.uses)
  const { hour, day, week } = snapshot.operationCounts
  const since = (ms: number) =>
    seen.ofDid.filter(({ producedAt }) => producedAt.getTime() > snapshot.now.getTime() - ms).length
  return {
    ...snapshot,
    operationCounts: {
      hour: Math.max(hour, since(HOUR_MS)),
      day: Math.max(day, since(24 * HOUR_MS)),
      week: Math.max(week, since(168 * HOUR_MS)),
    },
  }
}

function checkUses(
  { subject, digest, limited }: ClaimInput,
  { now, ruleCounts, didRuleCounts }: Counts,
  uses: ReadonlyMap<string, readonly Own[]>,
): void {
  const others = (rule: string, seconds: number) =>
    (uses.get(rule) ?? []).filter(
      (own) =>
        own.intendedAt.getTime() > now.getTime() + MARGIN_MS - seconds * 1000 &&
        own.digest !== hex(digest),
    )
  for (const { id, limits } of limited) {
    if (limits.global !== null && others(id, limits.global.seconds).length > ruleCounts[id]!) {
      throw missing(`uses of rule ${id}`)
    }
    if (limits.perDid === null) continue
    const ofDid = others(id, limits.perDid.seconds).filter(
      ({ did }) => did === subject.previous?.did,
    )
    if (ofDid.length > didRuleCounts[id]!) {
      throw missing(`uses of rule ${id} by ${subject.previous?.did}`)
    }
  }
}

function missing(what: string): StoreError {
  return new StoreError('row-tampered', `${what}: fewer are on record than were signed here`)
}

/** @throws StoreError `row-tampered` when a row does not hold the signature that was recorded here */
export function checkHeld(own: Own, row: StoredRequest | undefined): void {
  const isHeld =
    row !== undefined &&
    row.signature !== null &&
    row.producedAt?.getTime() === own.producedAt.getTime() &&
    ['returned', 'submitted', 'confirmed', 'superseded'].includes(row.state)
  if (isHeld) return
  throw new StoreError('row-tampered', `the signature of request ${own.id} is no longer on record`)
}

function placeOf(at: { did: string; prev: string | null; digest: string }): string {
  return at.prev === null ? `genesis ${at.digest}` : `${at.did} ${at.prev}`
}

function add(map: Map<string, Own[]>, name: string, own: Own): void {
  const list = [...(map.get(name) ?? []), own].slice(-KEPT)
  map.delete(name)
  map.set(name, list)
  trim(map)
}

/** The first of a map is what was set longest ago. */
function trim(map: Map<string, unknown>): void {
  if (map.size <= KEPT) return
  const [oldest] = map.keys()
  if (oldest !== undefined) map.delete(oldest)
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
