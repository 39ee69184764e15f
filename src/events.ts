import type { CustodyEvent } from './custody/events.ts'
import type { Logger } from './logger.ts'

/** One line per event of custody, for people and for alerting. `alarm: true` asks for a person. */
export function reportTo(log: Logger): (event: CustodyEvent) => void {
  return (event) => {
    switch (event.kind) {
      case 'limit-alarm':
        return log.warn(
          { ...event.limit, alarm: true, event: event.kind, request: event.requestId },
          `rule ${event.limit.rule}: ${event.limit.used} of ${event.limit.count} are used`,
        )
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
      case 'search-budget-spent':
        return log.warn(
          { alarm: true, event: event.kind, caller: event.caller },
          `caller ${event.caller} asks for more operations with an unknown prev than are looked for`,
        )
    }
  }
}
