import type { NewNotice } from './notify/notice.ts'

type Fields = Readonly<Record<string, unknown>>
type AddNotice = (notice: NewNotice) => Promise<void>

/** From the log to people: each line with `alarm: true` becomes a notice, whoever wrote it. */
export type Alarms = {
  readonly take: (fields: Fields, message: string) => void
  /** The database is there now: what waits is kept there, and from now on all that comes. */
  readonly keepBy: (add: AddNotice) => void
  /** Keeps what still waits, if it can. */
  readonly close: () => Promise<void>
}

const MAX_WAITING = 256

/** @param now for the hour that makes an alarm that goes on a new one */
export function createAlarms(now: () => Date): Alarms {
  let waiting: NewNotice[] = []
  let add: AddNotice | null = null
  let keeping: Promise<void> = Promise.resolve()

  async function keepAll(): Promise<void> {
    if (add === null) return
    const taken = waiting
    waiting = []
    // What cannot be kept stays in the log, where it came from; trying again would only pile up.
    for (const notice of taken) await add(notice).catch(() => undefined)
  }

  const flush = () => (keeping = keeping.then(keepAll))

  return {
    take: (fields, message) => {
      if (waiting.length < MAX_WAITING) waiting.push(alarmNotice(fields, message, now()))
      void flush()
    },
    keepBy: (to) => {
      add = to
      void flush()
    },
    close: async () => await flush(),
  }
}

/** What an alarm can be about, the narrowest first. */
const subjects = ['request', 'did', 'rule', 'key', 'place', 'caller']

/** The same alarm about the same thing, or step of it, is told once an hour. */
export function alarmNotice(fields: Fields, message: string, at: Date): NewNotice {
  const about = subjects.find((name) => typeof fields[name] === 'string')
  const step = typeof fields['step'] === 'string' ? ` ${fields['step']}` : ''
  const subject = `${about === undefined ? 'service' : String(fields[about])}${step}`
  const hour = at.toISOString().slice(0, 13)
  return {
    kind: 'alarm',
    event: typeof fields['event'] === 'string' ? fields['event'] : 'alarm',
    subject: `${subject} ${hour}`,
    detail: { message, ...plainFields(fields) },
  }
}

/** An error's text may hold what somebody else wrote, a driver's words or a host: it stays in the log. */
function plainFields(fields: Fields): NewNotice['detail'] {
  const plain = Object.entries(fields).filter(
    ([name, value]) =>
      !['alarm', 'event'].includes(name) && ['string', 'number'].includes(typeof value),
  )
  return Object.fromEntries(plain) as NewNotice['detail']
}
