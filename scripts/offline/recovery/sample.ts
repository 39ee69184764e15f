import { createHash } from 'node:crypto'
import type { DerivedOperation } from '../../../src/recovery/derive.ts'

/**
 * A few operations to be looked at in full, drawn by numbers that nobody knew when the bundle was made:
 * dice, or this machine's randomness. The same seed and bundle give the same sample.
 */
export function createSample(
  seed: string,
  size: number,
): { offer(derived: DerivedOperation): void; drawn(): readonly DerivedOperation[] } {
  let kept: { rank: string; derived: DerivedOperation }[] = []
  return {
    offer(derived) {
      const rank = createHash('sha256').update(`${seed}\0${derived.did}`).digest('hex')
      if (kept.length === size && rank > kept[size - 1]!.rank) return
      kept = [...kept, { rank, derived }].sort((a, b) => (a.rank < b.rank ? -1 : 1)).slice(0, size)
    },
    drawn: () => kept.map(({ derived }) => derived),
  }
}
