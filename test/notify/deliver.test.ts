import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Pool } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deliver } from '../../src/notify/deliver.ts'
import type { DeliverDeps } from '../../src/notify/deliver.ts'
import { createMailer } from '../../src/notify/mail.ts'
import type { Mailer } from '../../src/notify/mail.ts'
import { createSendWebhook } from '../../src/notify/webhook.ts'
import { createDatabase, createPool } from '../../src/store/database.ts'
import type { Database } from '../../src/store/database.ts'
import { addNotice, createNoticeStore, removeContact, setContact } from '../../src/store/notices.ts'
import { createTestDatabase, outsidePool } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'
import { startSmtpCatcher } from '../support/smtp-catcher.ts'
import type { SmtpCatcher } from '../support/smtp-catcher.ts'

// Real Postgres, a real SMTP server and a real HTTP receiver.

const secret = Buffer.alloc(32, 7)

type Call = { readonly headers: IncomingHttpHeaders; readonly body: string }

let database: TestDatabase
let pool: Pool
let outside: Pool
let db: Database
let smtp: SmtpCatcher
let mailer: Mailer
let receiver: Server
let calls: Call[]
let status: number
let failures: { target: string; error: unknown }[]
let deps: DeliverDeps

beforeEach(async () => {
  database = await createTestDatabase()
  pool = createPool(database.connection)
  pool.on('error', () => {})
  outside = outsidePool(database)
  db = createDatabase(pool)
  smtp = await startSmtpCatcher()
  mailer = createMailer(smtp.url, 'holdfast@example.com')
  calls = []
  status = 204
  failures = []
  receiver = createServer((request, response) => {
    const answer = async () => {
      calls.push({ headers: request.headers, body: await text(request) })
      response.writeHead(status, { location: '/elsewhere' }).end()
    }
    void answer()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  deps = {
    store: createNoticeStore(db),
    env: 'dev',
    webhooks: [
      { id: 'ops', url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook` },
    ],
    persons: ['alice', 'bob'],
    sendWebhook: createSendWebhook(secret, () => new Date()),
    sendMail: mailer.send,
    report: (failure) => failures.push(failure),
  }
})
afterEach(async () => {
  mailer.close()
  await smtp.stop()
  receiver.closeAllConnections()
  await new Promise((resolve) => receiver.close(resolve))
  await Promise.all([pool.end(), outside.end()])
  await database.drop()
})

const alarm = (subject: string) =>
  addNotice(db, { kind: 'alarm', event: 'limit-alarm', subject, detail: { used: 10 } })

/** As time passing does: what waited for later is due now. */
const letTimePass = async () => {
  await outside.query("update notice_deliveries set due_at = now() - interval '1 second'")
  await outside.query("update contacts set mailed_at = mailed_at - interval '6 minutes'")
}

describe('a webhook', () => {
  test('is told once, signed over time and body', async () => {
    await alarm('DEPARTURE')
    await alarm('DEPARTURE')
    expect(await deliver(deps)).toEqual({ told: 1, failed: 0 })
    expect(await deliver(deps)).toEqual({ told: 0, failed: 0 })
    expect(calls).toHaveLength(1)
    const [{ headers, body } = { headers: {}, body: '' }] = calls
    const [, seconds, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(
      String(headers['holdfast-signature']),
    ) as string[]
    const wanted = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
    expect(hex).toBe(wanted)
    expect(JSON.parse(body)).toMatchObject({ event: 'limit-alarm', subject: 'DEPARTURE' })
  })

  test.each([500, 404, 302])('that answers %i is told again later', async (answer) => {
    await alarm('DEPARTURE')
    status = answer
    expect(await deliver(deps)).toEqual({ told: 0, failed: 1 })
    expect(failures).toMatchObject([{ target: 'webhook:ops' }])
    status = 200
    expect(await deliver(deps)).toEqual({ told: 0, failed: 0 })
    await letTimePass()
    expect(await deliver(deps)).toEqual({ told: 1, failed: 0 })
    expect(calls).toHaveLength(2)
  })

  test('that is away is asked once a run, however much waits', async () => {
    for (let index = 0; index < 5; index += 1) await alarm(`rule-${index}`)
    status = 503
    expect(await deliver(deps)).toEqual({ told: 0, failed: 5 })
    expect(calls).toHaveLength(1)
  })

  test('named later hears of what is still kept', async () => {
    await alarm('DEPARTURE')
    await deliver({ ...deps, webhooks: [] })
    expect(await deliver(deps)).toEqual({ told: 1, failed: 0 })
  })
})

test('two instances tell it once between them', async () => {
  for (let index = 0; index < 20; index += 1) await alarm(`rule-${index}`)
  const told = await Promise.all([deliver(deps), deliver(deps)])
  expect(told.reduce((sum, run) => sum + run.told, 0)).toBe(20)
  expect(calls).toHaveLength(20)
})

test('what an instance took and did not settle, because it died, is told by another', async () => {
  await alarm('DEPARTURE')
  await deps.store.spread(['webhook:ops'])
  expect(await deps.store.takeWebhooks(['webhook:ops'])).toHaveLength(1)
  expect(await deliver(deps)).toEqual({ told: 0, failed: 0 })
  await letTimePass()
  expect(await deliver(deps)).toEqual({ told: 1, failed: 0 })
})

describe('mail', () => {
  beforeEach(async () => {
    deps = { ...deps, webhooks: [] }
    await setContact(db, { person: 'alice', email: 'alice@example.com' })
  })

  test('goes to officers with an address, and to nobody else', async () => {
    await setContact(db, { person: 'mallory', email: 'mallory@example.com' })
    await alarm('DEPARTURE')
    await deliver(deps)
    expect(smtp.mails.map(({ to }) => to)).toEqual([['alice@example.com']])
    expect(smtp.mails[0]?.raw).toContain('Subject: [holdfast dev] 1 alarm')
  })

  test('is one digest in five minutes', async () => {
    await alarm('first')
    await deliver(deps)
    await alarm('second')
    await alarm('third')
    await deliver(deps)
    expect(smtp.mails).toHaveLength(1)
    await letTimePass()
    await deliver(deps)
    expect(smtp.mails).toHaveLength(2)
    expect(smtp.mails[1]?.raw).toContain('2 alarms')
    await letTimePass()
    await deliver(deps)
    expect(smtp.mails).toHaveLength(2)
  })

  test('that the server refuses is tried again, and no sooner than five minutes later', async () => {
    await alarm('DEPARTURE')
    smtp.refuse = true
    expect(await deliver(deps)).toEqual({ told: 0, failed: 1 })
    smtp.refuse = false
    await outside.query("update notice_deliveries set due_at = now() - interval '1 second'")
    expect(await deliver(deps)).toEqual({ told: 0, failed: 0 })
    await letTimePass()
    expect(await deliver(deps)).toEqual({ told: 1, failed: 0 })
  })

  test('ends when the address is taken out', async () => {
    await removeContact(db, 'alice')
    await alarm('DEPARTURE')
    await deliver(deps)
    expect(smtp.mails).toEqual([])
  })
})

test('what nobody could be told in a week is told no more', async () => {
  await alarm('old')
  await deps.store.spread(['webhook:ops'])
  await outside.query("update notices set created_at = now() - interval '8 days'")
  expect(await deliver(deps)).toEqual({ told: 0, failed: 0 })
  expect((await outside.query('select * from notice_deliveries')).rows).toEqual([])
})
