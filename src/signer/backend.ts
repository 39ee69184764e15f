import type { KeyConfig } from '../policy/policy-set.ts'
import type { Signer } from './signer.ts'

/** One kind of place where keys live, behind one scheme of URIs. */
export type Backend = {
  /**
   * Opens the key that a URI of this scheme names, and proves that it is the pinned one. A place that
   * is away now does not stop this: the signer says `unavailable` until it is back.
   * @throws SignerError `key-unusable`: what will not change before a person changes it
   */
  openSigner(key: KeyConfig, uri: string): Promise<Signer>
  health(): readonly PlaceHealth[]
  close(): Promise<void>
}

/** What can be said of a place now. `message` is for operators: it may name files and hosts. */
export type PlaceState = {
  readonly kind: 'ready' | 'reconnecting' | 'latched' | 'unusable' | 'closed'
  readonly since: Date
  readonly message: string
  /** Of a token; null where there is none, or it is not known yet. */
  readonly serial: string | null
}

/** How one place is. `keys` names those that cannot be used although the place can. */
export type PlaceHealth = {
  /** For operators: the label of a token, the region of a KMS. */
  readonly place: string
  readonly state: PlaceState
  readonly keys: Readonly<Record<string, string>>
}

/**
 * What anybody may know, without names: null when all places and keys can be used. The states
 * themselves are for operators.
 */
export function describeHealth(places: readonly PlaceHealth[]): string | null {
  const kinds = new Set(places.map(({ state }) => state.kind))
  if (kinds.has('latched')) {
    return 'a token is latched: its PIN is in question; look, then run: holdfast keys unlatch'
  }
  if (kinds.has('unusable')) return 'a place of a key cannot be used as it is configured'
  if (kinds.has('reconnecting') || kinds.has('closed')) return 'a place of a key is away'
  const hasFault = places.some(({ keys }) => Object.keys(keys).length > 0)
  return hasFault ? 'a key is missing from its place or is not the pinned one' : null
}
