import { PrivateServerError } from './private-server-error.ts'
import type { Place } from './private-server-place.ts'

/** Turns what Postgres printed into an error that says what to do. */
export function failure(
  output: string,
  { place, code, doing }: { place: Place; code: 'start-failed' | 'stop-failed'; doing: string },
): PrivateServerError {
  const last = output.split('\n').slice(-6).join('\n')
  const tell = (advice: string) =>
    `The private Postgres could not ${doing}: ${advice}\nIts last words (log: ${place.log}):\n${last}`
  if (/No space left on device|Disk quota exceeded/.test(output)) {
    return new PrivateServerError('disk-full', tell(`the disk of ${place.data} is full.`))
  }
  if (/error while loading shared libraries/.test(output)) {
    const advice = 'libraries are missing; run "npm start" again, which completes them.'
    return new PrivateServerError('no-binaries', tell(advice))
  }
  if (/\.s\.PGSQL\.\d+\.lock/.test(output)) {
    const advice = `another Postgres uses the socket folder ${place.socket}; stop that one.`
    return new PrivateServerError('socket-directory', tell(advice))
  }
  return new PrivateServerError(code, tell('see below.'))
}

/** A start that lost to another one, or came while the last server's children still end. */
export function isTransient(output: string): boolean {
  return /lock file "postmaster\.pid" (already exists|is empty)|pre-existing shared memory block/.test(
    output,
  )
}
