import { HeldError, isSameHeld } from './held.ts'
import type { Held, HeldStore } from './held.ts'

/** Checkpoints swap the same record, up to eight times a second. */
const ATTEMPTS = 20

/**
 * Changes the held record by compare-and-swap, again when another process was quicker.
 * @param change of what is there then; it gives back what it is given where nothing is to do, so that
 * a change of which nobody knows whether it was made can be made again
 * @throws HeldError, and whatever `change` throws
 */
export async function changeHeld(
  store: HeldStore,
  change: (held: Held | null) => Held,
): Promise<Held> {
  for (let attempt = 1; ; attempt += 1) {
    const held = await store.read()
    const next = change(held)
    try {
      if (held === null) return await store.create(next)
      return isSameHeld(held, next) ? held : await store.replace(held, next)
    } catch (error) {
      const lost = error instanceof HeldError && error.code === 'conflict'
      if (!lost || attempt === ATTEMPTS) throw error
    }
  }
}
