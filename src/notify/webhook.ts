import { createHmac } from 'node:crypto'

/** How long a receiver may take to answer, in milliseconds. */
const DEADLINE_MS = 5_000

/** A receiver could not be told now. Its message names no secret and nothing of its answer's body. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
}

export type SendWebhook = (url: string, body: string) => Promise<void>

/**
 * Tells one receiver. `Holdfast-Signature: t=UNIX,v1=HEX` is HMAC-SHA256 over `t.body` under the
 * shared secret: with `t`, an old message cannot be played again unseen. Redirects are not followed,
 * since the target comes from reviewed files alone.
 * @throws DeliveryError when the answer is not 2xx, or none came in time
 */
export function createSendWebhook(secret: Uint8Array, now: () => Date): SendWebhook {
  return async (url, body) => {
    const seconds = Math.floor(now().getTime() / 1000)
    const response = await post(url, body, {
      'content-type': 'application/json',
      'holdfast-signature': `t=${seconds},v1=${signWebhook(secret, seconds, body)}`,
    })
    await response.body?.cancel()
    if (!response.ok) throw new DeliveryError(`the webhook answered ${response.status}`)
  }
}

/** What a receiver computes again, and compares in constant time. */
export function signWebhook(secret: Uint8Array, seconds: number, body: string): string {
  return createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')
}

async function post(url: string, body: string, headers: Record<string, string>): Promise<Response> {
  try {
    return await fetch(url, {
      method: 'POST',
      body,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(DEADLINE_MS),
    })
  } catch (cause) {
    throw new DeliveryError('the webhook does not answer', { cause })
  }
}
