/** Something that people must hear of: a request that waits for officers, or an alarm. */
export type NoticeKind = 'approval-wanted' | 'alarm'

/**
 * What is told. Never a secret, a name or a link: who reads a message goes to the console or the
 * command line by themselves, so that a forged message leads nowhere.
 */
export type NewNotice = {
  readonly kind: NoticeKind
  /** What happened, as in the log: `limit-alarm`. */
  readonly event: string
  /** What it is about. The same event about the same subject is told once. */
  readonly subject: string
  readonly detail: Readonly<Record<string, string | number | null>>
}

export type Notice = NewNotice & { readonly id: string; readonly at: Date }

/** The body of a webhook call: one JSON object, keys in this order. */
export function renderWebhook(notice: Notice, env: string): string {
  const { id, kind, event, subject, detail, at } = notice
  return JSON.stringify({
    v: 1,
    id,
    env,
    kind,
    event,
    subject,
    detail,
    at: at.toISOString(),
  })
}

export type Mail = { readonly subject: string; readonly text: string }

/** A mail tells so many in full; what is more is only counted. */
export const MAX_IN_MAIL = 50

/** One mail for all that waits to be told to one person. */
export function renderMail(notices: readonly Notice[], env: string): Mail {
  const requests = notices.filter(({ kind }) => kind === 'approval-wanted')
  const alarms = notices.filter(({ kind }) => kind === 'alarm')
  const counts = [
    ...(requests.length === 0 ? [] : [counted(requests.length, 'request waits', 'requests wait')]),
    ...(alarms.length === 0 ? [] : [counted(alarms.length, 'alarm', 'alarms')]),
  ]
  const shown = [...requests, ...alarms].slice(0, MAX_IN_MAIL)
  const rest = notices.length - shown.length
  return {
    subject: `[holdfast ${env}] ${counts.join(', ')}`,
    text: [
      ...shown.map(paragraph),
      ...(rest > 0 ? [`… and ${rest} more.\n`] : []),
      'To look at a request: scripts/holdfast requests show ID. This message holds no link, and no',
      'message of ours ever asks you to follow one.',
      '',
    ].join('\n'),
  }
}

const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`

function paragraph({ kind, event, subject, detail, at }: Notice): string {
  const what = kind === 'approval-wanted' ? 'Approval wanted' : `ALARM ${event}`
  const lines = Object.entries(detail).map(([name, value]) => `  ${name}: ${value ?? '-'}`)
  return [`${what}: ${subject}`, `  at: ${at.toISOString()}`, ...lines, ''].join('\n')
}
