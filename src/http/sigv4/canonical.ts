import { createHash } from 'node:crypto'
import type { Received } from '../received.ts'
import { AuthenticationError } from '../authentication-error.ts'

/**
 * The canonical request of SigV4 ("Create a canonical request", IAM User Guide). Whatever has more than one reading is
 * refused instead of normalised: two readings are how a signed request becomes another one on its way.
 *
 * @throws AuthenticationError `malformed`
 */
export function canonicalRequest(request: Received, signedHeaders: readonly string[]): string {
  const [path, query] = splitTarget(request.target)
  const headers = signedHeaders.map((name) => `${name}:${signedValue(request.headers, name)}\n`)
  return [
    request.method,
    canonicalPath(path),
    canonicalQuery(query),
    headers.join(''),
    signedHeaders.join(';'),
    sha256Hex(request.body),
  ].join('\n')
}

export function sha256Hex(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex')
}

function splitTarget(target: string): [path: string, query: string] {
  const mark = target.indexOf('?')
  return mark === -1 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)]
}

/** None of our paths needs an escape, so none is allowed; what is left has itself as its canonical form. */
function canonicalPath(path: string): string {
  const plain = /^(?:\/|(?:\/[A-Za-z0-9._~-]+)+\/?)$/.test(path)
  if (!plain || /\/\.{1,2}(?:\/|$)/.test(path)) {
    throw new AuthenticationError('malformed', 'the path is not in its plain form')
  }
  return path
}

function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query.split('&').map(canonicalPair)
  pairs.sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)))
  return pairs.map(([name, value]) => `${name}=${value}`).join('&')
}

function canonicalPair(pair: string): [name: string, value: string] {
  // A "+" is a plus to SigV4 and a space to most readers of forms.
  if (!/^[\x21-\x2a\x2c-\x7e]+$/.test(pair)) {
    throw new AuthenticationError('malformed', 'the query string is not plain')
  }
  const equals = pair.indexOf('=')
  const name = equals === -1 ? pair : pair.slice(0, equals)
  const value = equals === -1 ? '' : pair.slice(equals + 1)
  const canonicalName = reencode(name)
  if (canonicalName.toLowerCase().startsWith('x-amz-')) {
    throw new AuthenticationError('malformed', 'a signature in the query string is not accepted')
  }
  return [canonicalName, reencode(value)]
}

function reencode(part: string): string {
  try {
    return encodeURIComponent(decodeURIComponent(part)).replace(
      /[!'()*]/g,
      (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
    )
  } catch {
    throw new AuthenticationError('malformed', 'the query string has a broken escape')
  }
}

function signedValue(headers: ReadonlyMap<string, string>, name: string): string {
  const value = headers.get(name)
  if (value === undefined) throw new AuthenticationError('malformed', 'a signed header is missing')
  if (!/^[\t\x20-\x7e]*$/.test(value)) {
    throw new AuthenticationError('malformed', 'a signed header is not printable ASCII')
  }
  return value.replace(/[\t ]+/g, ' ').trim()
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
