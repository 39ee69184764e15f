import type { Curve } from '../../../src/plc/did-key.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import type { Ground } from './open.ts'

export type NewKey = { readonly name: string; readonly curve: Curve }
export type MadeKey = { readonly did: string; readonly uri: string }
/** `there`: the name, or the key itself under this name, is taken; nothing was changed. */
export type Making = MadeKey | { readonly there: string }

/** A key that a place holds, whether or not `keys.yaml` names it. */
export type FoundKey = {
  readonly did: string | null
  readonly uri: string | null
  readonly name: string
}

/** `problems` keep the key from being used; `remarks` are for the person who decides. */
export type Checked = {
  readonly problems: readonly string[]
  readonly remarks: readonly string[]
  /** Who can read the private half, or use it. */
  readonly readers: readonly string[]
}

/**
 * One kind of place where commands make keys and look at them. A further kind is one file that makes
 * one of these, and a word in `place.ts`.
 */
export type PlaceKind = {
  /** Of the URIs that it answers for. */
  readonly scheme: string
  /** The option that names a place of this kind by its URI; null: the one that needs no name. */
  readonly option: string | null
  create(ground: Ground, uri: string, key: NewKey): Promise<Making>
  import(
    ground: Ground,
    uri: string,
    key: NewKey & { readonly secret: Uint8Array },
  ): Promise<Making>
  /** All keys of the place that `uri` names. */
  list(ground: Ground, uri: string): Promise<readonly FoundKey[]>
  /** In a few words: `ready`, or what is wrong. Uses no key. */
  look(ground: Ground, key: KeyConfig, uri: string): Promise<string>
  /**
   * Signs the probe of a challenge (32 bytes), which is never an operation: that the key is here.
   * @returns r‖s, low-S @throws SignerError
   */
  prove(ground: Ground, key: KeyConfig, uri: string, challenge: Uint8Array): Promise<Uint8Array>
  /** Whether the key is there, the pinned one and guarded. May use the key. */
  check(ground: Ground, key: KeyConfig, uri: string): Promise<Checked>
}
