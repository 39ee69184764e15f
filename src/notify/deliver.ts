import { renderMail, renderWebhook } from './notice.ts'
import type { Notice } from './notice.ts'
import type { SendMail } from './mail.ts'
import type { SendWebhook } from './webhook.ts'

/** A receiver named in reviewed files. Where it is comes from there, never from the database. */
export type Webhook = { readonly id: string; readonly url: string }

/** One notice on its way to one receiver; taken by this instance until a lease ends. */
export type Delivery = { readonly notice: Notice; readonly target: string }

/** All that is to be told to one person now. */
export type Digest = { readonly person: string; readonly email: string; readonly notices: Notice[] }

/** The durable side. What was taken and not settled is taken again: told twice rather than never. */
export type NoticeStore = {
  /** Makes notices of requests that wait for officers, and of each notice one delivery for each target. */
  spread(targets: readonly string[]): Promise<void>
  takeWebhooks(targets: readonly string[]): Promise<Delivery[]>
  /** At most one digest for a person in any five minutes. */
  takeDigests(persons: readonly string[]): Promise<Digest[]>
  settle(delivered: readonly { noticeId: string; target: string }[]): Promise<void>
  /** Tried again later, and later each time. */
  postpone(failed: readonly { noticeId: string; target: string }[]): Promise<void>
}

export type DeliverDeps = {
  readonly store: NoticeStore
  readonly env: string
  readonly webhooks: readonly Webhook[]
  /** Officers in force: the only persons who are told anything. */
  readonly persons: readonly string[]
  /** null: not configured, and so not asked for by the policy set either. */
  readonly sendWebhook: SendWebhook | null
  readonly sendMail: SendMail | null
  readonly report: (failure: { target: string; error: unknown }) => void
}

export type Delivered = { readonly told: number; readonly failed: number }

export const webhookTarget = (id: string) => `webhook:${id}`
export const mailTarget = (person: string) => `mail:${person}`

/** Tells everybody what they have not been told yet. One receiver that fails holds up no other. */
export async function deliver(deps: DeliverDeps): Promise<Delivered> {
  const webhooks = deps.sendWebhook === null ? [] : deps.webhooks
  const persons = deps.sendMail === null ? [] : deps.persons
  await deps.store.spread([
    ...webhooks.map(({ id }) => webhookTarget(id)),
    ...persons.map(mailTarget),
  ])
  const results = await Promise.all([
    ...webhooks.map(async (webhook) => await callWebhook(deps, webhook)),
    mailDigests(deps, persons),
  ])
  return {
    told: results.reduce((sum, { told }) => sum + told, 0),
    failed: results.reduce((sum, { failed }) => sum + failed, 0),
  }
}

/** In order, and no further after the first failure: a receiver that is away is asked once a run. */
async function callWebhook(deps: DeliverDeps, { id, url }: Webhook): Promise<Delivered> {
  const target = webhookTarget(id)
  const deliveries = await deps.store.takeWebhooks([target])
  const told = []
  for (const { notice } of deliveries) {
    try {
      await deps.sendWebhook?.(url, renderWebhook(notice, deps.env))
      told.push({ noticeId: notice.id, target })
    } catch (error) {
      deps.report({ target, error })
      break
    }
  }
  const failed = deliveries
    .slice(told.length)
    .map(({ notice }) => ({ noticeId: notice.id, target }))
  await deps.store.settle(told)
  await deps.store.postpone(failed)
  return { told: told.length, failed: failed.length }
}

async function mailDigests(deps: DeliverDeps, persons: readonly string[]): Promise<Delivered> {
  let told = 0
  let failed = 0
  for (const { person, email, notices } of await deps.store.takeDigests(persons)) {
    const target = mailTarget(person)
    const deliveries = notices.map(({ id }) => ({ noticeId: id, target }))
    try {
      await deps.sendMail?.(email, renderMail(notices, deps.env))
      await deps.store.settle(deliveries)
      told += notices.length
    } catch (error) {
      deps.report({ target, error })
      await deps.store.postpone(deliveries)
      failed += notices.length
    }
  }
  return { told, failed }
}
