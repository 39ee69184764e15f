import { pino } from 'pino'
import type { Logger } from 'pino'

export type { Logger }

/** Told of each line with `alarm: true`: it asks for a person. */
export type OnAlarm = (fields: Readonly<Record<string, unknown>>, message: string) => void

/** JSON lines on standard error, so that what a command prints for people or scripts stays apart. */
export function createLogger(onAlarm: OnAlarm = () => {}): Logger {
  return pino(
    {
      hooks: {
        logMethod(args, method) {
          const [fields, message] = args as unknown[]
          if (isAlarm(fields)) onAlarm(fields, String(message))
          method.apply(this, args)
        },
      },
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

function isAlarm(fields: unknown): fields is Readonly<Record<string, unknown>> {
  return typeof fields === 'object' && fields !== null && 'alarm' in fields && fields.alarm === true
}
