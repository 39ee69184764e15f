import { MAX_BAD_SIGNATURES } from './limits.ts'

/**
 * `unchecked`: not looked at yet. `away`: AWS KMS did not answer. `unfit`: the key, its policy or the
 * configuration does not let us sign. `distrusted`: what came back was not the pinned key's.
 */
export type KeyStateKind = 'unchecked' | 'ready' | 'away' | 'unfit' | 'distrusted'

export type KeyState = {
  readonly kind: KeyStateKind
  readonly message: string
  readonly since: Date
}

/** How one key is, by what its calls and looks said. Never waits for anything. */
export type KeyStates = {
  current(): KeyState
  /** A look found the pinned key, enabled. */
  looksRight(): void
  signed(): void
  failed(kind: 'away' | 'unfit', message: string): void
  /** A look found another key. */
  isOther(message: string): void
  /** A signature did not verify. */
  signedWrongly(message: string): void
}

/**
 * After a signature that does not verify the key is used no more until a look finds the pinned key
 * again; after three without a good one in between, until a person has looked and restarts the service.
 */
export function createKeyStates(onChange: (state: KeyState) => void): KeyStates {
  let state: KeyState = {
    kind: 'unchecked',
    message: 'has not been looked at yet',
    since: new Date(),
  }
  let bad = 0
  const become = (kind: KeyStateKind, message: string) => {
    const changed = kind !== state.kind
    state = { kind, message, since: changed ? new Date() : state.since }
    if (changed) onChange(state)
  }
  return {
    current: () => state,
    looksRight() {
      if (bad < MAX_BAD_SIGNATURES) become('ready', 'ready')
    },
    signed() {
      bad = 0
      // What was under way when the key was found to be another one changes nothing.
      if (state.kind !== 'distrusted') become('ready', 'ready')
    },
    failed(kind, message) {
      if (state.kind !== 'distrusted') become(kind, message)
    },
    isOther(message) {
      become('distrusted', message)
    },
    signedWrongly(message) {
      bad += 1
      const end = bad < MAX_BAD_SIGNATURES ? '' : '; it is used again after a restart only'
      become('distrusted', `${message}${end}`)
    },
  }
}
