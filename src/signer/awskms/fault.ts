/**
 * What an error of a call means.
 * `throttled`: not now, and the key was not used. `away`: not now either, and not used.
 * `lost`: no usable answer came, and the key may have been used.
 * `final`: the key or the configuration is at fault, and trying again does not help.
 */
export type FaultKind = 'throttled' | 'away' | 'lost' | 'final'

export class KmsFault extends Error {
  override readonly name = 'KmsFault'
  readonly kind: FaultKind

  constructor(kind: FaultKind, message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

const THROTTLED = [
  'ThrottlingException',
  'LimitExceededException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
]
/** Said before a key is used. */
const AWAY = ['KeyUnavailableException', 'CredentialsProviderError', 'TokenProviderError']
/** A connection that never stood carried no request. */
const NOT_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']

/**
 * Whatever the SDK threw. What is not known for certain counts as `lost`: then the same bytes are signed
 * again, and no other.
 */
export function faultOf(error: unknown): KmsFault {
  if (error instanceof KmsFault) return error
  const { name, code, status, requestId, message } = read(error)
  const where = requestId === null ? '' : ` (request ${requestId} at AWS)`
  return new KmsFault(kindOf({ name, code, status, message }), `${name}: ${message}${where}`, {
    cause: error,
  })
}

function kindOf(error: Omit<ReturnType<typeof read>, 'requestId'>): FaultKind {
  const { name, code, status } = error
  if (THROTTLED.includes(name) || status === 429) return 'throttled'
  if (AWAY.includes(name) || NOT_CONNECTED.includes(code)) return 'away'
  // The one timeout of the SDK's that is over before anything was sent.
  if (name === 'TimeoutError' && /did not establish a connection/.test(error.message)) return 'away'
  return status !== null && status >= 400 && status < 500 ? 'final' : 'lost'
}

function read(error: unknown) {
  const fields = (typeof error === 'object' && error !== null ? error : {}) as {
    name?: unknown
    code?: unknown
    message?: unknown
    $metadata?: { httpStatusCode?: unknown; requestId?: unknown }
  }
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  const { httpStatusCode: status, requestId } = fields.$metadata ?? {}
  return {
    name: text(fields.name) || 'Error',
    code: text(fields.code),
    // Written into logs: what a stranger at the other end says is cut.
    message: text(fields.message).slice(0, 300),
    status: typeof status === 'number' ? status : null,
    requestId: typeof requestId === 'string' ? requestId : null,
  }
}
