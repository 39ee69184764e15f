import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Credential, FindCredential } from '../credential.ts'
import type { Received } from '../received.ts'
import type { Authorization } from './authorization.ts'
import { parseAuthorization } from './authorization.ts'
import { canonicalRequest, sha256Hex } from './canonical.ts'
import { AuthenticationError } from '../authentication-error.ts'

/** Services that share a secret must not accept each other's requests: the scope names one. */
export type SigV4Service = 'kms' | 'holdfast'

export type VerifySigV4 = {
  readonly findCredential: FindCredential
  readonly service: SigV4Service
  readonly now: Date
}

const MAX_SKEW_SECONDS = 300

const MUST_BE_SIGNED: Record<SigV4Service, readonly string[]> = {
  kms: ['host', 'x-amz-date', 'x-amz-target'],
  holdfast: ['host', 'x-amz-date'],
}

/** Stands in for the secret of an access key that does not exist, so that both cases do the same work. */
const NOBODYS_SECRET = randomBytes(32).toString('base64')

/**
 * Who signed this request: its method, path, query, the headers it names, and the body, whose hash is always our own.
 *
 * @throws AuthenticationError; anything else comes from `findCredential`
 */
export async function verifySigV4(request: Received, options: VerifySigV4): Promise<Credential> {
  const authorization = parseAuthorization(request.headers.get('authorization'))
  checkSignedHeaders(authorization, options.service)
  checkNoSessionToken(request)
  checkPayloadHash(request)
  const date = checkDate(request, authorization, options.now)
  checkService(authorization, options.service)
  const stringToSign = buildStringToSign(request, authorization, date)

  const credential = await options.findCredential(authorization.accessKeyId)
  const key = signingKey(credential?.secret ?? NOBODYS_SECRET, authorization)
  const matches = timingSafeEqual(hmac(key, stringToSign), authorization.signature)
  if (credential === null || !matches) {
    throw new AuthenticationError(
      'mismatch',
      'the signature does not match, or the access key is not known here',
    )
  }
  return credential
}

function checkSignedHeaders(authorization: Authorization, service: SigV4Service): void {
  for (const name of MUST_BE_SIGNED[service]) {
    if (!authorization.signedHeaders.includes(name)) {
      throw new AuthenticationError('malformed', `${name} must be among the SignedHeaders`)
    }
  }
}

function checkNoSessionToken({ headers }: Received): void {
  if (headers.has('x-amz-security-token')) {
    throw new AuthenticationError('malformed', 'session tokens are not accepted')
  }
}

/** Also refuses UNSIGNED-PAYLOAD and STREAMING-…: a signature without the body would let anyone change what is signed. */
function checkPayloadHash({ headers, body }: Received): void {
  const declared = headers.get('x-amz-content-sha256')
  if (declared !== undefined && declared !== sha256Hex(body)) {
    throw new AuthenticationError(
      'malformed',
      'x-amz-content-sha256 is not the SHA-256 of the body',
    )
  }
}

function checkDate({ headers }: Received, { day }: Authorization, now: Date): string {
  const date = headers.get('x-amz-date')
  const time = date === undefined ? null : parseAmzDate(date)
  if (date === undefined || time === null) {
    throw new AuthenticationError('malformed', 'x-amz-date must be of the form YYYYMMDDTHHMMSSZ')
  }
  if (!date.startsWith(day)) {
    throw new AuthenticationError('scope', 'the credential scope is of another day than x-amz-date')
  }
  if (Math.abs(now.getTime() - time) > MAX_SKEW_SECONDS * 1000) {
    // The AWS SDK then sets its clock by our Date header and signs once more.
    throw new AuthenticationError(
      'skewed',
      `Signature expired or not yet valid: x-amz-date is more than ${MAX_SKEW_SECONDS} s from the server's clock`,
    )
  }
  return date
}

function parseAmzDate(date: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date)
  if (match === null) return null
  const iso = `${match[1]}-${match[2]}-${match[3]}T${match[4]}:${match[5]}:${match[6]}.000Z`
  const time = Date.parse(iso)
  // 30 February is read as a day of March by some; it is no date here.
  return Number.isNaN(time) || new Date(time).toISOString() !== iso ? null : time
}

function checkService(authorization: Authorization, service: SigV4Service): void {
  if (authorization.service !== service) {
    throw new AuthenticationError('scope', `the credential scope must name the service ${service}`)
  }
}

function buildStringToSign(request: Received, authorization: Authorization, date: string): string {
  const { day, region, service, signedHeaders } = authorization
  const scope = `${day}/${region}/${service}/aws4_request`
  const hash = sha256Hex(canonicalRequest(request, signedHeaders))
  return `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`
}

function signingKey(secret: string, { day, region, service }: Authorization): Buffer {
  return [day, region, service, 'aws4_request'].reduce(
    (key: Buffer, part) => hmac(key, part),
    Buffer.from(`AWS4${secret}`),
  )
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
