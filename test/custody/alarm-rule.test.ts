import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAlarms } from '../../src/alarms.ts'
import type { CustodyEvent } from '../../src/custody/events.ts'
import { reportTo } from '../../src/events.ts'
import { createLogger } from '../../src/logger.ts'
import { deliver } from '../../src/notify/deliver.ts'
import { addNotice, createNoticeStore } from '../../src/store/notices.ts'
import { movedTo, openApproving, rekeyed } from '../support/approving.ts'
import type { Approving } from '../support/approving.ts'
import { idOf } from '../support/custody.ts'
import { withOfficers } from '../support/officers.ts'

// Rule MOVE is made a break-glass rule: every step under it is heard.

let approving: Approving

beforeAll(async () => {
  approving = await openApproving({
    policy: (shipped) =>
      withOfficers(shipped).replace(
        'separate: { orgs: 2 }',
        'separate: { orgs: 2 }\n    alarm: true',
      ),
  })
})
afterAll(async () => await approving.custody.close())

type RuleAlarm = CustodyEvent & { kind: 'rule-alarm' }
const alarmsOf = (id: string): RuleAlarm[] =>
  approving.custody.events.filter(
    (event): event is RuleAlarm => event.kind === 'rule-alarm' && event.requestId === id,
  )

describe('under a rule with `alarm: true`', () => {
  test('the question, each approval and the use of the key are alarms, each once', async () => {
    const { custody } = approving
    const account = await custody.account('loud')
    const id = idOf(await custody.sign(movedTo(account, 'new')))
    await custody.sign(movedTo(account, 'new'))
    await approving.approve(id, 'alice')
    await approving.approve(id, 'carol')
    expect(await custody.sign(movedTo(account, 'new'))).toMatchObject({ kind: 'signed' })
    await custody.sign(movedTo(account, 'new'))
    expect(alarmsOf(id)).toEqual(
      [
        { kind: 'asked', by: 'caller:pds' },
        { kind: 'approved', by: 'alice' },
        { kind: 'approved', by: 'carol' },
        { kind: 'signing' },
      ].map((step) => ({ kind: 'rule-alarm', requestId: id, rules: ['MOVE'], step })),
    )
  })

  test('so is a rejection, and on record is each step that was heard', async () => {
    const { custody } = approving
    const account = await custody.account('refused')
    const id = idOf(await custody.sign(movedTo(account, 'new')))
    await approving.reject(id, 'bob')
    expect(alarmsOf(id).map(({ step }) => step)).toEqual([
      { kind: 'asked', by: 'caller:pds' },
      { kind: 'rejected', by: 'bob' },
    ])
    expect(await approving.entriesOf(id)).toEqual([
      'request.proposed',
      'rejection.recorded',
      'request.rejected',
    ])
  })

  test('what counts for nothing is not heard', async () => {
    const { custody } = approving
    const account = await custody.account('nothing')
    const id = idOf(await custody.sign(movedTo(account, 'new')))
    expect(await approving.approve(id, 'dora')).toMatchObject({ kind: 'void' })
    expect(alarmsOf(id)).toHaveLength(1)
  })
})

test('another rule is as quiet as ever', async () => {
  const { custody } = approving
  const id = idOf(await custody.sign(rekeyed(await custody.account('quiet'))))
  await approving.approve(id, 'alice')
  expect(alarmsOf(id)).toEqual([])
})

test('each step is told one by one, from the log through the database to a webhook', async () => {
  const { custody } = approving
  const bodies: string[] = []
  const alarms = createAlarms(() => new Date())
  alarms.keepBy(async (notice) => await addNotice(custody.db, notice))
  const report = reportTo(createLogger(alarms.take))
  const account = await custody.account('told')
  const id = idOf(await custody.sign(movedTo(account, 'new')))
  await approving.approve(id, 'alice')
  await approving.approve(id, 'carol')
  for (const event of alarmsOf(id)) report(event)
  await alarms.close()
  await deliver({
    store: createNoticeStore(custody.db),
    env: 'dev',
    webhooks: [{ id: 'ops', url: 'http://127.0.0.1/hook' }],
    persons: [],
    sendWebhook: async (_url, body) => void bodies.push(body),
    sendMail: null,
    report: ({ error }) => {
      throw error
    },
  })
  const told = bodies.map((body) => JSON.parse(body) as { event: string; detail: object })
  const steps = told.filter(({ event }) => event === 'rule-alarm').map(({ detail }) => detail)
  expect(steps).toEqual(
    ['asked by caller:pds', 'approved by alice', 'approved by carol'].map((step) => ({
      message: `break-glass: ${step}, under MOVE`,
      request: id,
      rules: 'MOVE',
      step,
    })),
  )
})
