import { DirectoryError } from './directory.ts'

export type JsonGet = {
  readonly signal: AbortSignal
  /** Who is asked, for messages. */
  readonly from: string
  readonly maxBytes: number
}

/**
 * One JSON answer of 200, bounded; 404 is `not-registered`. Redirects are refused: what was set in
 * the configuration is what is asked.
 * @throws DirectoryError
 */
export async function getJson(url: string, options: JsonGet): Promise<unknown> {
  return await readJson(await get(url, options), options)
}

/** @throws DirectoryError `unknown` when nothing answers */
export async function get(
  url: string,
  { from, signal }: Pick<JsonGet, 'from' | 'signal'>,
): Promise<Response> {
  try {
    return await fetch(url, {
      signal,
      redirect: 'error',
      headers: { accept: 'application/json', 'user-agent': 'holdfast' },
    })
  } catch (cause) {
    throw new DirectoryError('unknown', `no answer from ${from}`, { cause })
  }
}

async function readJson(response: Response, options: JsonGet): Promise<unknown> {
  const { from } = options
  if (!response.ok) {
    await response.body?.cancel().catch(() => undefined)
    throw refusal(response, from)
  }
  const text = await readText(response, options)
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new DirectoryError('malformed', `${from} answered something that is not JSON`, { cause })
  }
}

function refusal(response: Response, from: string): DirectoryError {
  const message = `${from} answered ${response.status}`
  switch (response.status) {
    case 404:
    case 410:
      return new DirectoryError('not-registered', message)
    case 429: {
      const retryAfterMs = parseRetryAfter(response.headers.get('retry-after'), Date.now())
      return new DirectoryError('rate-limited', message, { retryAfterMs })
    }
    default:
      return new DirectoryError('unknown', message)
  }
}

/** RFC 9110 section 10.2.3: seconds, or an HTTP date. null: absent or neither. */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null
  if (/^[0-9]{1,9}$/.test(value.trim())) return Number(value) * 1_000
  // Date.parse would read nearly anything.
  const at = /^[A-Z][a-z]{2}, .+ GMT$/.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, at - now)
}

async function readText(response: Response, { from, maxBytes }: JsonGet): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length
      if (size > maxBytes) break
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new DirectoryError('unknown', `${from} stopped in the middle of its answer`, { cause })
  }
  if (size <= maxBytes) return Buffer.concat(chunks).toString('utf8')
  throw new DirectoryError('malformed', `${from} answered more than ${maxBytes} bytes`)
}
