import { DirectoryError } from './directory.ts'
import type { PlcDirectory } from './directory.ts'
import { get, getJson } from './json-get.ts'

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
      const options = { signal, from: base, maxBytes: MAX_ANSWER_BYTES }
      try {
        return await getJson(`${base}/${encodeURIComponent(did)}/log/audit`, options)
      } catch (error) {
        if (!(error instanceof DirectoryError) || error.code !== 'not-registered') throw error
        throw new DirectoryError('not-registered', `${did} is not registered on ${base}`)
      }
    },
    async ping(signal) {
      const response = await get(`${base}/_health`, { from: base, signal })
      if (!response.ok) throw new DirectoryError('unknown', `${base} answered ${response.status}`)
    },
  }
}
