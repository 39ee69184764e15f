import { ACCESS_KEY_ID } from '../credential.ts'
import { AuthenticationError } from '../authentication-error.ts'

/** The Authorization header of AWS Signature Version 4, taken apart. `signature` is 32 bytes. */
export type Authorization = {
  readonly accessKeyId: string
  readonly day: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  readonly signature: Uint8Array
}

const GRAMMAR = new RegExp(
  `^AWS4-HMAC-SHA256 Credential=(${ACCESS_KEY_ID})/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request, ?` +
    `SignedHeaders=([!#$%&'*+.^_\`|~0-9a-z;-]{1,2048}), ?` +
    'Signature=([0-9a-f]{64})$',
)

/** @throws AuthenticationError `missing` or `malformed` */
export function parseAuthorization(value: string | undefined): Authorization {
  if (value === undefined)
    throw new AuthenticationError('missing', 'the Authorization header is missing')
  const match = GRAMMAR.exec(value)
  if (match === null) {
    throw new AuthenticationError(
      'malformed',
      'the Authorization header is not one of AWS4-HMAC-SHA256',
    )
  }
  const [, accessKeyId = '', day = '', region = '', service = '', names = '', hex = ''] = match
  const signature = Buffer.from(hex, 'hex')
  return { accessKeyId, day, region, service, signedHeaders: parseSignedHeaders(names), signature }
}

function parseSignedHeaders(names: string): readonly string[] {
  const list = names.split(';')
  const rising = list.every((name, i) => name !== '' && (i === 0 || list[i - 1]! < name))
  if (!rising) {
    throw new AuthenticationError(
      'malformed',
      'SignedHeaders must be sorted, lower-case and without repeats',
    )
  }
  return list
}
