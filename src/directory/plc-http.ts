import { DirectoryError } from './directory.ts'
import type { PlcDirectory } from './directory.ts'

/** An audit log of 100 operations a week for ten years stays below this. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/**
 * The directory over HTTP. Plain `fetch` rather than the method's reference client: that one has
 * neither a deadline nor a bound on the answer, and a signature waits for this read.
 */
export function createPlcDirectory(baseUrl: string): PlcDirectory {
  const base = baseUrl.replace(/\/+$/, '')
  return {
    async getLog(did, signal) {
      const response = await get(`${base}/${encodeURIComponent(did)}/log/audit`, signal)
      if (response.status === 404) {
        throw new DirectoryError('not-registered', `${did} is not registered on ${base}`)
      }
      if (!response.ok) {
        throw new DirectoryError(
          'unknown',
          `${base} answered ${response.status} for the log of ${did}`,
        )
      }
      return await readJson(response, base)
    },
    async ping(signal) {
      const response = await get(`${base}/_health`, signal)
      if (!response.ok) throw new DirectoryError('unknown', `${base} answered ${response.status}`)
    },
  }

  async function get(url: string, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(url, {
        signal,
        redirect: 'error',
        headers: { accept: 'application/json' },
      })
    } catch (cause) {
      throw new DirectoryError('unknown', `no answer from ${base}`, { cause })
    }
  }
}

async function readJson(response: Response, base: string): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length
      if (size > MAX_ANSWER_BYTES) break
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new DirectoryError('unknown', `${base} stopped in the middle of its answer`, { cause })
  }
  if (size > MAX_ANSWER_BYTES) {
    throw new DirectoryError('malformed', `${base} answered more than ${MAX_ANSWER_BYTES} bytes`)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
  } catch (cause) {
    throw new DirectoryError('malformed', `${base} answered something that is not JSON`, { cause })
  }
}
