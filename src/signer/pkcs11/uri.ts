import { SignerError } from '../signer.ts'

/** What a token must be; every part that is given must be equal. */
export type TokenMatch = {
  readonly label: string | null
  readonly serial: string | null
  readonly manufacturer: string | null
  readonly model: string | null
}

/** Which key on the token; at least one of the two, and exactly one key may have it. */
export type KeyMatch = { readonly label: string | null; readonly id: Uint8Array | null }

export type TokenUri = {
  readonly token: TokenMatch
  readonly modulePath: string
  /** File that holds the PIN; null: the one that the service is configured with. */
  readonly pinPath: string | null
}
export type KeyUri = TokenUri & { readonly key: KeyMatch }

const PATH_NAMES = ['token', 'serial', 'manufacturer', 'model', 'object', 'id', 'type'] as const
const QUERY_NAMES = ['module-path', 'pin-source'] as const

// RFC 7512 §2.3, without the percent sign: what may stand unencoded in a value.
const PATH_CHARACTERS = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})+$/
const QUERY_CHARACTERS = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=/?|]|%[0-9A-Fa-f]{2})+$/

// The widths of CK_TOKEN_INFO: a longer value can match no token.
const WIDTHS = { token: 32, manufacturer: 32, model: 16, serial: 16 } as const

/** A `pkcs11:` URI (RFC 7512) that names a key. @throws SignerError `key-unusable` */
export function parseKeyUri(uri: string): KeyUri {
  const { path, rest } = parse(uri)
  const label = text(path, 'object')
  const id = path.get('id') ?? null
  if (label === null && id === null) throw refused('object= or id= must say which key')
  if (path.has('type') && text(path, 'type') !== 'private') {
    throw refused('type= may only be private')
  }
  return { ...rest, key: { label, id } }
}

/** A `pkcs11:` URI that names a token and no key. @throws SignerError `key-unusable` */
export function parseTokenUri(uri: string): TokenUri {
  const { path, rest } = parse(uri)
  for (const name of ['object', 'id', 'type']) {
    if (path.has(name)) throw refused(`${name}= has no place in the URI of a token`)
  }
  return rest
}

/** The URI by which `keys.yaml` refers to a key. */
export function formatKeyUri({ token, modulePath, pinPath, key }: KeyUri): string {
  const path = [
    ['token', token.label],
    ['manufacturer', token.manufacturer],
    ['model', token.model],
    ['serial', token.serial],
    ['object', key.label],
  ].flatMap(([name, value]) => (value == null ? [] : [`${name}=${encodeURIComponent(value)}`]))
  if (key.id !== null) path.push(`id=${encodeBytes(key.id)}`)
  const query = [`module-path=${encodePath(modulePath)}`]
  if (pinPath !== null) query.push(`pin-source=file:${encodePath(pinPath)}`)
  return `pkcs11:${path.join(';')}?${query.join('&')}`
}

function parse(uri: string): { path: Map<string, Uint8Array>; rest: TokenUri } {
  const match = /^pkcs11:([^?]*)(?:\?(.*))?$/s.exec(uri)
  if (match === null) throw refused('must begin with pkcs11:')
  const path = attributes(match[1] ?? '', ';', PATH_CHARACTERS, PATH_NAMES)
  const query = attributes(match[2] ?? '', '&', QUERY_CHARACTERS, QUERY_NAMES)
  const token = {
    label: text(path, 'token'),
    serial: text(path, 'serial'),
    manufacturer: text(path, 'manufacturer'),
    model: text(path, 'model'),
  }
  if (token.label === null && token.serial === null) {
    throw refused('token= or serial= must say which token; slots are renumbered')
  }
  const modulePath = text(query, 'module-path')
  if (modulePath === null) throw refused('module-path= must name the PKCS#11 module')
  if (!modulePath.startsWith('/')) throw refused('module-path= must be absolute')
  return { path, rest: { token, modulePath, pinPath: pinPath(text(query, 'pin-source')) } }
}

function attributes(
  part: string,
  separator: string,
  characters: RegExp,
  names: readonly string[],
): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>()
  for (const attribute of part === '' ? [] : part.split(separator)) {
    const equals = attribute.indexOf('=')
    const name = attribute.slice(0, Math.max(equals, 0))
    // A PIN in a URI ends in reviewed files, logs and backups.
    if (name === 'pin-value') throw refused('pin-value= is refused; name a file with pin-source=')
    if (!names.includes(name)) throw refused(`an attribute is not one of ${names.join(', ')}`)
    if (found.has(name)) throw refused(`${name}= stands there twice`)
    const value = attribute.slice(equals + 1)
    if (!characters.test(value)) {
      throw refused(`${name}= is empty or has a character that must be percent-encoded`)
    }
    found.set(name, decode(value))
  }
  return found
}

function decode(value: string): Uint8Array {
  const bytes: number[] = []
  for (let at = 0; at < value.length; at += 1) {
    if (value[at] === '%') {
      bytes.push(Number.parseInt(value.slice(at + 1, at + 3), 16))
      at += 2
    } else bytes.push(value.charCodeAt(at))
  }
  return Uint8Array.from(bytes)
}

function text(found: Map<string, Uint8Array>, name: string): string | null {
  const bytes = found.get(name)
  if (bytes === undefined) return null
  const width = name in WIDTHS ? WIDTHS[name as keyof typeof WIDTHS] : 1024
  if (bytes.length > width) throw refused(`${name}= is longer than ${width} bytes`)
  // A NUL would cut the string short in C.
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) throw notText(name)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw notText(name)
  }
}

const notText = (name: string) => refused(`${name}= is not UTF-8 text`)

function pinPath(source: string | null): string | null {
  if (source === null) return null
  const path = /^file:(?:\/\/)?(\/[^/].*)$/s.exec(source)?.[1]
  if (path === undefined) throw refused('pin-source= must be file: and an absolute path')
  return path
}

const encodePath = (path: string) => path.split('/').map(encodeURIComponent).join('/')
const encodeBytes = (bytes: Uint8Array) =>
  [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')

function refused(reason: string): SignerError {
  return new SignerError('key-unusable', `a pkcs11: URI is refused: ${reason}`)
}
