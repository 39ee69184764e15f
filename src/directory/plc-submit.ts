import type { SubmitOperation, SubmitOutcome } from './submit.ts'

/** More of a refusal is not read. */
const MAX_REFUSAL_BYTES = 4096

/** Submits over HTTP to the directory at `baseUrl`. A redirect is no answer: it leads elsewhere. */
export function createPlcSubmit(baseUrl: string): SubmitOperation {
  const base = baseUrl.replace(/\/+$/, '')
  return async ({ did, operation }, signal) => {
    try {
      const response = await fetch(`${base}/${encodeURIComponent(did)}`, {
        method: 'POST',
        signal,
        redirect: 'error',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(operation),
      })
      return await outcomeOf(response)
    } catch (cause) {
      return { kind: 'unknown', cause }
    }
  }
}

/** A 4xx says that it was not taken now; a 5xx comes from anywhere on the way, before or after. */
async function outcomeOf(response: Response): Promise<SubmitOutcome> {
  const { status } = response
  if (status < 400 || status > 499) await response.body?.cancel()
  if (response.ok) return { kind: 'accepted' }
  if (status >= 400 && status <= 499) {
    return { kind: 'refused', status, message: messageOf(await readStart(response)) }
  }
  return { kind: 'unknown', cause: new Error(`the directory answered ${status}`) }
}

async function readStart(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body ?? []) {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_REFUSAL_BYTES) break
    }
  } catch {
    // The status is the answer; its words are for people.
  }
  return Buffer.concat(chunks).subarray(0, MAX_REFUSAL_BYTES).toString('utf8')
}

function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    return typeof message === 'string' ? message : text
  } catch {
    return text
  }
}
