import { ApprovalError } from './error.ts'

const MAX_CLIENT_DATA_BYTES = 4096

/**
 * What the browser says it did, and where (WebAuthn level 3, section 5.8.1).
 * @throws ApprovalError `bad-assertion` for another deed, challenge or origin than was expected
 */
export function checkClientData(
  json: Uint8Array,
  expected: {
    readonly type: 'webauthn.create' | 'webauthn.get'
    /** Of what the challenge is the bytes, for the message. */
    readonly of: string
    readonly challenge: Uint8Array
    readonly origins: readonly string[]
  },
): void {
  const data = parseClientData(json)
  if (data['type'] !== expected.type) throw broken(`its type is not ${expected.type}`)
  if (data['challenge'] !== Buffer.from(expected.challenge).toString('base64url')) {
    throw broken(`its challenge is not the hash of ${expected.of}`)
  }
  const { origin } = data
  if (typeof origin !== 'string' || !expected.origins.includes(origin)) {
    throw broken('its origin is none of the roster')
  }
  // Inside a frame of somebody else's page, an officer sees what that page wants.
  const framed = data['crossOrigin'] !== undefined && data['crossOrigin'] !== false
  if (framed || data['topOrigin'] !== undefined) throw broken('it was made across origins')
}

function parseClientData(json: Uint8Array): Record<string, unknown> {
  if (json.length > MAX_CLIENT_DATA_BYTES) throw broken('its clientDataJSON is too large')
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json)
    const data: unknown = JSON.parse(text)
    if (typeof data === 'object' && data !== null) return data as Record<string, unknown>
  } catch (cause) {
    throw new ApprovalError('bad-assertion', 'its clientDataJSON is not JSON', { cause })
  }
  throw broken('its clientDataJSON is not an object')
}

export function broken(reason: string): ApprovalError {
  return new ApprovalError('bad-assertion', `the passkey's answer does not count: ${reason}`)
}
