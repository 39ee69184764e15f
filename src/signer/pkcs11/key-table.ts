// Child side only.
import { findKey } from './find-key.ts'
import type { FoundKey } from './find-key.ts'
import { StepError } from './module.ts'
import type { Handle, Module } from './module.ts'
import { describeKeyFault } from './protocol.ts'
import type { KeyFault, KeySpec, KeyState } from './protocol.ts'

export type KeyTable = ReturnType<typeof createKeyTable>

/** The key is not there, or not as it must be; the session it was looked for on is as good as before. */
export class KeyFaultError extends StepError {}

type Looked = FoundKey & { readonly at: number }

// Somebody may be putting the key back; each look-up costs the token a few calls.
const RETRY_MS = 500

/**
 * The keys by their reference. A handle is used only on the session and under the login it was found
 * with; before its first use on another one the key is found and compared again.
 */
export function createKeyTable(
  module: Module,
  parts: {
    readonly isLoggedIn: (session: Handle) => boolean
    readonly report: (states: KeyState[]) => void
  },
) {
  const specs = new Map<number, KeySpec>()
  const lastFault = new Map<number, KeyFault | null>()
  const everFound = new Set<number>()
  let bySession = new WeakMap<Handle, Map<number, Looked>>()

  function look(session: Handle, spec: KeySpec): Looked {
    const key = { ...findKey(module, session, spec), at: performance.now() }
    // Logged out meanwhile by another session's doing, we see no private keys at all.
    if (key.fault !== null && !parts.isLoggedIn(session)) {
      throw new StepError('find key', 'reopen', 'the token logged us out')
    }
    const known = bySession.get(session) ?? new Map<number, Looked>()
    bySession.set(session, known.set(spec.ref, key))
    if (lastFault.get(spec.ref) !== key.fault) parts.report([stateOf(spec.ref, key)])
    lastFault.set(spec.ref, key.fault)
    return key
  }

  /** @throws KeyFaultError */
  function accept(ref: number, key: FoundKey): Handle {
    if (key.fault === null) {
      everFound.add(ref)
      return key.handle
    }
    // It was there in this process: more likely the module lost the token than somebody the key.
    const isLost = key.fault === 'missing' && everFound.delete(ref)
    const kind = isLost ? 'reinit' : 'configuration'
    throw new KeyFaultError('find key', kind, describeKeyFault(key.fault))
  }

  return {
    add: (keys: readonly KeySpec[]) => {
      for (const spec of keys) specs.set(spec.ref, spec)
    },
    /** @param session one that is logged in @throws KeyFaultError */
    use: (session: Handle, ref: number): Handle => {
      const spec = specs.get(ref)
      if (spec === undefined) throw new TypeError(`no key ${ref}`)
      const known = bySession.get(session)?.get(ref)
      const isStale = known?.fault !== null && performance.now() - (known?.at ?? 0) > RETRY_MS
      return accept(ref, known === undefined || isStale ? look(session, spec) : known)
    },
    /** Looks for all of them anew. Faults are reported, and thrown only when the token seems lost. */
    lookForAll: (session: Handle): void => {
      for (const spec of specs.values()) {
        const key = look(session, spec)
        if (key.fault === null || (key.fault === 'missing' && everFound.has(spec.ref))) {
          accept(spec.ref, key)
        }
      }
    },
    forget: () => {
      bySession = new WeakMap()
    },
  }
}

function stateOf(ref: number, key: FoundKey): KeyState {
  return { ref, fault: key.fault, point: key.fault === null ? null : key.point }
}
