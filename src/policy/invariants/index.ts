import { limitChecks } from '../../plc/limits.ts'
import type { Finding } from '../finding.ts'
import type { Facts } from '../facts.ts'
import { checkDidBudget } from './did-budget.ts'
import { checkDidOfCaller, checkPrevIsHead, checkPrevKnown, checkTombstoneFresh } from './prev.ts'
import {
  checkGenesisHasRecoveryKey,
  checkKeepOurKey,
  checkKeepRecoveryKey,
  checkKeyGranted,
  checkKeyInForce,
  checkKeyListed,
  checkRecoveryKeyAbove,
} from './rotation.ts'

/** The rules that always hold, in the order in which a denial names the first one broken. */
export const invariants: readonly ((facts: Facts) => Finding | null)[] = [
  ...limitChecks.map(
    (check) =>
      ({ operation, before }: Facts) =>
        operation.type === 'plc_tombstone' ? null : check(operation, before),
  ),
  checkPrevKnown,
  checkDidOfCaller,
  checkPrevIsHead,
  checkKeyInForce,
  checkKeyListed,
  checkKeepOurKey,
  checkKeepRecoveryKey,
  checkRecoveryKeyAbove,
  checkGenesisHasRecoveryKey,
  checkTombstoneFresh,
  checkDidBudget,
  checkKeyGranted,
]
