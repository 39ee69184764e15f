import type { Finding } from '../finding.ts'
import type { Facts } from '../facts.ts'

/**
 * Operations per identity, the genesis counted. The directory allows 10, 30 and 100 and then
 * refuses everything; the difference is kept for the emergency that comes after them.
 */
export const didBudget = { hour: 8, day: 25, week: 90 } as const

export function checkDidBudget(facts: Facts): Finding | null {
  const { operationCounts } = facts.circumstances
  for (const window of ['hour', 'day', 'week'] as const) {
    if (operationCounts[window] >= didBudget[window]) {
      return {
        rule: 'DID-BUDGET',
        message: `this identity has had ${operationCounts[window]} operations within a ${window} (at most ${didBudget[window]})`,
      }
    }
  }
  return null
}
