import { pino } from 'pino'
import type { Logger } from 'pino'

export type { Logger }

/** JSON lines on standard error, so that what a command prints for people or scripts stays apart. */
export function createLogger(): Logger {
  return pino(
    {
      base: { service: 'holdfast' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Defence in depth: nothing here is logged on purpose.
      redact: [
        '*.secret',
        '*.secretAccessKey',
        '*.token',
        '*.password',
        '*.authorization',
        '*.connectionString',
      ],
    },
    pino.destination({ dest: 2, sync: true }),
  )
}
