import { describe, expect, test } from 'vitest'
import { alarmNotice, createAlarms } from '../../src/alarms.ts'
import { MAX_IN_MAIL, renderMail, renderWebhook } from '../../src/notify/notice.ts'
import type { NewNotice, Notice } from '../../src/notify/notice.ts'

const at = new Date('2026-11-26T09:00:00.000Z')
const wanted: Notice = {
  id: '11111111-1111-4111-8111-111111111111',
  kind: 'approval-wanted',
  event: 'approval-wanted',
  subject: 'request-1',
  detail: { class: 'update', rules: 'ATPROTO-KEY-ROTATE', did: null },
  at,
}
const alarm: Notice = { ...wanted, kind: 'alarm', event: 'limit-alarm', subject: 'DEPARTURE' }

test('a mail tells what waits and what is alarming, requests first', () => {
  const { subject, text } = renderMail([alarm, wanted], 'prod')
  expect(subject).toBe('[holdfast prod] 1 request waits, 1 alarm')
  expect(text.indexOf('Approval wanted: request-1')).toBe(0)
  expect(text).toContain('rules: ATPROTO-KEY-ROTATE')
  expect(text).toContain('ALARM limit-alarm: DEPARTURE')
})

test('no message holds a link', () => {
  const messages = [renderMail([alarm, wanted], 'prod').text, renderWebhook(wanted, 'prod')]
  for (const message of messages) expect(message).not.toMatch(/https?:|www\.|<a\b/i)
})

test('a mail tells fifty in full and counts the rest', () => {
  const many = Array.from({ length: MAX_IN_MAIL + 7 }, () => wanted)
  expect(renderMail(many, 'dev').text).toContain('… and 7 more.')
})

test('a webhook gets the environment, so that a rehearsal is not taken for real', () => {
  expect(JSON.parse(renderWebhook(wanted, 'dev'))).toEqual({
    v: 1,
    id: wanted.id,
    env: 'dev',
    kind: 'approval-wanted',
    event: 'approval-wanted',
    subject: 'request-1',
    detail: wanted.detail,
    at: '2026-11-26T09:00:00.000Z',
  })
})

describe('an alarm in the log becomes a notice', () => {
  const fields = { alarm: true, event: 'limit-alarm', request: 'r1', rule: 'DEPARTURE', used: 10 }

  test('about the narrowest thing it names, once an hour', () => {
    expect(alarmNotice(fields, 'ten of twenty', at)).toEqual({
      kind: 'alarm',
      event: 'limit-alarm',
      subject: 'r1 2026-11-26T09',
      detail: { message: 'ten of twenty', request: 'r1', rule: 'DEPARTURE', used: 10 },
    })
  })

  test('an error that goes with it stays in the log', () => {
    const error = new Error('password of db.example is hunter2')
    const notice = alarmNotice({ ...fields, err: error }, 'it failed', at)
    expect(JSON.stringify(notice)).not.toContain('hunter2')
  })

  test('what comes before the database is there is kept, to a bound', async () => {
    const alarms = createAlarms(() => at)
    for (let index = 0; index < 300; index += 1) alarms.take(fields, `alarm ${index}`)
    const kept: NewNotice[] = []
    alarms.keepBy(async (notice) => void kept.push(notice))
    await alarms.close()
    expect(kept).toHaveLength(256)
    expect(kept[0]?.detail['message']).toBe('alarm 0')
  })

  test('one that cannot be kept loses no other', async () => {
    const alarms = createAlarms(() => at)
    const kept: NewNotice[] = []
    alarms.keepBy(async (notice) => {
      if (kept.length === 0 && notice.detail['message'] === 'first') throw new Error('away')
      kept.push(notice)
    })
    alarms.take(fields, 'first')
    alarms.take(fields, 'second')
    await alarms.close()
    expect(kept.map(({ detail }) => detail['message'])).toEqual(['second'])
  })
})
