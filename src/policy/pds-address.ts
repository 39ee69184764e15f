import { PolicyError } from './error.ts'
import { isLoopbackName } from './loopback.ts'

/**
 * A PDS's public address: the origin that identities name as their endpoint, so that the two can be
 * compared. Over plain http anybody on the way could list accounts; on loopback there is no way.
 * @throws PolicyError `file-malformed`
 */
export function parsePdsAddress(text: string): string {
  const url = URL.parse(text)
  const origin = url?.origin ?? ''
  if (url === null || (text !== origin && text !== `${origin}/`)) {
    throw malformed('pds is the address of the PDS as identities name it: https://HOST')
  }
  const loopback = isLoopbackName(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) return origin
  throw malformed('pds must be https, or http on a loopback address')
}

function malformed(message: string): PolicyError {
  return new PolicyError('file-malformed', message)
}
