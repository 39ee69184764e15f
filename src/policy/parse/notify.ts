import { z } from 'zod'
import { isLoopbackName } from '../loopback.ts'
import type { NotifyConfig } from '../policy-set.ts'
import { MAX_ITEMS, malformed, name, parseFile, refuseRepeats } from './file.ts'

const email = z
  .string()
  .max(254)
  .regex(/^[^\s@<>",;]+@[^\s@<>",;]+$/, 'write a plain address: holdfast@example.com')

const notifyFile = z.strictObject({
  notify: z.literal('holdfast/notify/v1'),
  webhooks: z
    .array(z.strictObject({ id: name, url: z.string().max(2048) }))
    .max(MAX_ITEMS)
    .optional(),
  mail: z.strictObject({ from: email }).optional(),
})

/** Who is told. A message must reach nobody whom no review has seen, so this is a reviewed file. */
export function parseNotify(text: string | undefined): NotifyConfig | null {
  if (text === undefined) return null
  const { webhooks = [], mail } = parseFile('notify.yaml', text, notifyFile)
  refuseRepeats(
    'notify.yaml',
    'webhook',
    webhooks.map(({ id }) => id),
  )
  for (const { id, url } of webhooks) checkUrl(id, url)
  if (webhooks.length === 0 && mail === undefined) {
    throw malformed('notify.yaml: names nobody; write webhooks, mail, or remove the file')
  }
  return { webhooks, mail: mail ?? null }
}

/** A secret in a URL would be in a repository; plain http is for this machine alone. */
function checkUrl(id: string, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null
  const loopback = isLoopbackName(url?.hostname ?? '')
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && loopback)) {
    throw malformed(`notify.yaml: webhook ${id}: url must be https, or http on a loopback address`)
  }
  if (url.username !== '' || url.password !== '' || url.hash !== '') {
    throw malformed(`notify.yaml: webhook ${id}: url has a user, a password or a fragment`)
  }
}
