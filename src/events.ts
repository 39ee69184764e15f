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
      case 'directory-unreadable':
        return log.warn(
          { event: event.kind, did: event.did, err: event.error },
          'the PLC directory could not be read before signing',
        )
    }
  }
}
