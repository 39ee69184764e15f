import type { ForeignOperation } from './custody/compare.ts'
import type { AlarmedStep, CustodyEvent } from './custody/events.ts'
import type { Logger } from './logger.ts'

function foreignMessage(operation: ForeignOperation): string {
  const until = `a stronger key can undo it until ${operation.deadline.toISOString()}`
  switch (operation.class) {
    case 'our-key':
      return `one of our keys signed an operation that is not on record; ${until}`
    case 'loss':
      return `none of our keys is in the identity any more; ${until}`
    case 'foreign':
    case 'user':
      return `an operation of somebody else took the place of others; ${until}`
  }
}

function stepText(step: AlarmedStep): string {
  return step.kind === 'signing' ? 'a key is being used' : `${step.kind} by ${step.by}`
}

/** One line per event of custody, for people and for alerting. `alarm: true` asks for a person. */
export function reportTo(log: Logger): (event: CustodyEvent) => void {
  return (event) => {
    switch (event.kind) {
      case 'limit-alarm':
        return log.warn(
          { ...event.limit, alarm: true, event: event.kind, request: event.requestId },
          `rule ${event.limit.rule}: ${event.limit.used} of ${event.limit.count} are used`,
        )
      case 'rule-alarm': {
        const rules = event.rules.join(', ')
        const step = stepText(event.step)
        return log.warn(
          { alarm: true, event: event.kind, request: event.requestId, rules, step },
          `break-glass: ${step}, under ${rules}`,
        )
      }
      case 'signing-failed':
        return log.error(
          {
            alarm: true,
            event: event.kind,
            request: event.requestId,
            key: event.key,
            err: event.error,
          },
          `key ${event.key} gave no signature that may be released`,
        )
      case 'key-unavailable':
        return log.warn(
          { event: event.kind, request: event.requestId, key: event.key, err: event.error },
          `key ${event.key} cannot be used now`,
        )
      case 'directory-unreadable':
        return log.warn(
          { event: event.kind, did: event.did, err: event.error },
          'the PLC directory could not be read before signing',
        )
      case 'identity-found':
        return log.info(
          { event: event.kind, did: event.did, caller: event.caller, listed: event.listed },
          event.listed
            ? 'an account that moved in was taken into care'
            : 'an identity that its user changed was read again',
        )
      case 'accounts-unlisted':
        return log.warn(
          { event: event.kind, caller: event.caller, err: event.error },
          `the PDS of caller ${event.caller} does not list its accounts`,
        )
      case 'operation-foreign': {
        const { operation } = event
        const fields = { event: event.kind, ...operation }
        if (operation.class === 'user')
          return log.info(fields, 'a user changed an identity in care')
        return log.error({ alarm: true, ...fields }, foreignMessage(operation))
      }
      case 'operation-nullified':
        return log.error(
          { alarm: true, event: event.kind, ...event.operation },
          `an operation that was signed here was nullified by ${event.operation.by}`,
        )
      case 'row-tampered':
        return log.error(
          { alarm: true, event: event.kind, err: event.error },
          `the database was changed by somebody else: ${event.error.message}`,
        )
      case 'approval-unverifiable':
        return log.warn(
          { alarm: true, event: event.kind, err: event.error },
          'a statement on record is no evidence of anything, and counts for nothing',
        )
      case 'clocks-apart':
        return log.error(
          { alarm: true, event: event.kind, milliseconds: event.milliseconds },
          'the clocks of this instance and of Postgres are more than 5 s apart: nothing is signed',
        )
      case 'search-budget-spent':
        return log.warn(
          { alarm: true, event: event.kind, caller: event.caller },
          `caller ${event.caller} asks for more operations with an unknown prev than are looked for`,
        )
    }
  }
}
