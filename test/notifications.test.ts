import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readEnv } from '../src/config.ts'
import { checkNotifySecrets, noNotifySecrets, toNotifySecrets } from '../src/notifications.ts'
import { parseNotify } from '../src/policy/parse/notify.ts'
import { policySet } from './policy/cases.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-notify-'))
})
afterAll(async () => await rm(dir, { recursive: true }))

const head = 'notify: holdfast/notify/v1\n'
const webhook = (url: string) => `${head}webhooks:\n  - { id: ops, url: "${url}" }\n`

describe('notify.yaml', () => {
  test('names webhooks and the sender of mails', () => {
    const text = `${webhook('https://hooks.example.com/x')}mail: { from: h@example.com }\n`
    expect(parseNotify(text)).toEqual({
      webhooks: [{ id: 'ops', url: 'https://hooks.example.com/x' }],
      mail: { from: 'h@example.com' },
    })
    expect(parseNotify(undefined)).toBeNull()
  })

  test.each([
    ['plain http', webhook('http://hooks.example.com/x'), 'https'],
    ['a password', webhook('https://u:p@hooks.example.com/x'), 'password'],
    ['no URL', webhook('hooks'), 'https'],
    ['nobody', head, 'names nobody'],
    ['an unknown key', `${head}slack: x\n`, 'slack'],
    ['a sender with a name', `${head}mail: { from: "H <h@example.com>" }\n`, 'plain address'],
    [
      'the same id twice',
      `${head}webhooks:\n  - { id: a, url: "https://a.example" }\n  - { id: a, url: "https://b.example" }\n`,
      'twice',
    ],
  ])('with %s is refused', (_what, text, says) => {
    expect(() => parseNotify(text)).toThrow(says)
  })
})

describe('a start', () => {
  const notify = parseNotify(
    `${webhook('https://hooks.example.com/x')}mail: { from: h@example.com }\n`,
  )
  const smtpUrl = 'smtps://u:p@mail.example.com'

  test('names the setting that is missing', () => {
    const policies = policySet({ notify })
    expect(() => checkNotifySecrets(policies, noNotifySecrets)).toThrow(
      'HOLDFAST_WEBHOOK_SECRET_FILE',
    )
    const webhookSecret = new Uint8Array(32)
    expect(() => checkNotifySecrets(policies, { ...noNotifySecrets, webhookSecret })).toThrow(
      'HOLDFAST_SMTP_URL',
    )
    expect(() => checkNotifySecrets(policies, { webhookSecret, smtpUrl })).not.toThrow()
    expect(() => checkNotifySecrets(policySet(), noNotifySecrets)).not.toThrow()
  })

  test('reads the secrets from files', async () => {
    await writeFile(join(dir, 'secret'), Buffer.alloc(32, 1))
    await writeFile(join(dir, 'smtp'), `${smtpUrl}\n`)
    const env = readEnv({
      HOLDFAST_WEBHOOK_SECRET_FILE: join(dir, 'secret'),
      HOLDFAST_SMTP_URL_FILE: join(dir, 'smtp'),
    })
    expect(toNotifySecrets(env)).toEqual({ webhookSecret: Buffer.alloc(32, 1), smtpUrl })
  })

  test.each([
    ['a short secret', { HOLDFAST_WEBHOOK_SECRET_FILE: 'short' }, '32 at least'],
    ['a secret that is not there', { HOLDFAST_WEBHOOK_SECRET_FILE: 'none' }, 'cannot read'],
    ['another protocol', { HOLDFAST_SMTP_URL: 'https://u:hunter2@mail.example.com' }, 'smtps://'],
    [
      'a password in plain text',
      { HOLDFAST_SMTP_URL: 'smtp://u:hunter2@mail.example.com' },
      'needs smtps',
    ],
  ])('with %s is refused, and shows no secret', async (_what, env, says) => {
    await writeFile(join(dir, 'short'), 'x')
    const placed = Object.fromEntries(
      Object.entries(env).map(([name, value]) => [
        name,
        name.endsWith('_FILE') ? join(dir, value) : value,
      ]),
    )
    const attempt = () => toNotifySecrets(readEnv(placed))
    expect(attempt).toThrow(says)
    expect(attempt).not.toThrow('hunter2')
  })
})
