import { MAX_ANSWER_BYTES } from '../audit/witness.ts'
import type { AskWitness } from '../sequencer/witnessing.ts'

/** A witness that has not answered by then is asked again about the next checkpoint. */
const DEADLINE_MS = 2_500

/**
 * C2SP tlog-witness over HTTP: `POST <url>/add-checkpoint`. Redirects are refused, answers bounded; whatever goes
 * wrong on the way is no answer.
 */
export const askWitnessOverHttp: AskWitness = async (url, body) => {
  const signal = AbortSignal.timeout(DEADLINE_MS)
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/add-checkpoint`, {
      method: 'POST',
      body,
      signal,
      redirect: 'error',
      headers: { 'content-type': 'text/plain; charset=utf-8', 'user-agent': 'holdfast' },
    })
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body ?? []) {
      size += chunk.length
      if (size > MAX_ANSWER_BYTES) return null
      chunks.push(chunk)
    }
    return { status: response.status, body: Buffer.concat(chunks).toString('utf8') }
  } catch {
    return null
  }
}
