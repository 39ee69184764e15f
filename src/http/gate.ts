/** Runs `work` unless `limit` others are under way; then it throws `GateFull` at once instead of queueing. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>

export class GateFull extends Error {
  override readonly name = 'GateFull'
}

/** A queue would only move the waiting into our memory; whoever is told "busy" waits in its own. */
export function createGate(limit: number): Gate {
  let inside = 0
  return async (work) => {
    if (inside >= limit) throw new GateFull('too many calls at once; try again')
    inside += 1
    try {
      return await work()
    } finally {
      inside -= 1
    }
  }
}
