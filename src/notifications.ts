import { readFileSync } from 'node:fs'
import { ConfigError } from './config.ts'
import type { Env } from './config.ts'
import { deliver } from './notify/deliver.ts'
import type { Delivered } from './notify/deliver.ts'
import { createMailer } from './notify/mail.ts'
import { createSendWebhook } from './notify/webhook.ts'
import { isLoopbackName } from './policy/loopback.ts'
import type { PolicySet } from './policy/policy-set.ts'
import type { Database } from './store/database.ts'
import { createNoticeStore } from './store/notices.ts'

/** null: not set. Asked for only where `notify.yaml` names somebody who is told by it. */
export type NotifySecrets = {
  readonly webhookSecret: Uint8Array | null
  readonly smtpUrl: string | null
}

const MIN_SECRET_BYTES = 32

export function toNotifySecrets(env: Env): NotifySecrets {
  const {
    HOLDFAST_WEBHOOK_SECRET_FILE: secretFile,
    HOLDFAST_SMTP_URL: smtp,
    HOLDFAST_SMTP_URL_FILE: smtpFile,
  } = env
  if (smtp !== undefined && smtpFile !== undefined) {
    throw new ConfigError('HOLDFAST_SMTP_URL_FILE: is set beside HOLDFAST_SMTP_URL; one of them')
  }
  return {
    webhookSecret: secretFile === undefined ? null : readWebhookSecret(secretFile),
    smtpUrl: toSmtpUrl(
      smtpFile === undefined ? smtp : read('HOLDFAST_SMTP_URL_FILE', smtpFile).toString().trim(),
    ),
  }
}

function readWebhookSecret(path: string): Uint8Array {
  const secret = read('HOLDFAST_WEBHOOK_SECRET_FILE', path)
  if (secret.length >= MIN_SECRET_BYTES) return secret
  throw new ConfigError(
    `HOLDFAST_WEBHOOK_SECRET_FILE: ${path} has ${secret.length} bytes, ${MIN_SECRET_BYTES} at least are needed (openssl rand 32)`,
  )
}

function read(name: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new ConfigError(`${name}: cannot read ${path}`, { cause })
  }
}

/** @throws ConfigError without the value: it holds a password */
function toSmtpUrl(text: string | undefined): string | null {
  if (text === undefined) return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^smtps?:$/.test(url.protocol) || url.hostname === '') {
    throw new ConfigError('HOLDFAST_SMTP_URL: write smtps://USER:PASSWORD@HOST:PORT')
  }
  const local = isLoopbackName(url.hostname)
  if (url.protocol === 'smtp:' && url.password !== '' && !local) {
    throw new ConfigError('HOLDFAST_SMTP_URL: a password needs smtps, or a server on this machine')
  }
  return text
}

export type Notifications = {
  /** One run: whoever has something to be told is told it. */
  readonly deliver: () => Promise<Delivered>
  readonly close: () => void
}

export const noNotifySecrets: NotifySecrets = { webhookSecret: null, smtpUrl: null }

/** @throws ConfigError naming the setting that `notify.yaml` needs and that is missing */
export function checkNotifySecrets({ notify }: PolicySet, secrets: NotifySecrets): void {
  if ((notify?.webhooks ?? []).length > 0 && secrets.webhookSecret === null) {
    throw new ConfigError('HOLDFAST_WEBHOOK_SECRET_FILE: notify.yaml names webhooks; set it')
  }
  if ((notify?.mail ?? null) !== null && secrets.smtpUrl === null) {
    throw new ConfigError('HOLDFAST_SMTP_URL: notify.yaml asks for mail; set it, or …_FILE')
  }
}

/** Joins the receivers of the policy set to the secrets they need. */
export function openNotifications(parts: {
  db: Database
  policies: PolicySet
  secrets: NotifySecrets
  report: (failure: { target: string; error: unknown }) => void
}): Notifications {
  const { policies, secrets } = parts
  const webhooks = policies.notify?.webhooks ?? []
  const mail = policies.notify?.mail ?? null
  const { webhookSecret, smtpUrl } = secrets
  const mailer = mail === null || smtpUrl === null ? null : createMailer(smtpUrl, mail.from)
  const store = createNoticeStore(parts.db)
  return {
    deliver: async () =>
      await deliver({
        store,
        env: policies.env,
        webhooks,
        persons: officersOf(policies),
        sendWebhook:
          webhookSecret === null ? null : createSendWebhook(webhookSecret, () => new Date()),
        sendMail: mailer?.send ?? null,
        report: parts.report,
      }),
    close: () => mailer?.close(),
  }
}

function officersOf({ roster }: PolicySet): string[] {
  const active = roster?.persons.filter(({ status, roles }) => {
    return status === 'active' && roles.includes('officer')
  })
  return active?.map(({ id }) => id) ?? []
}
