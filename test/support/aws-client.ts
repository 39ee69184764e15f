import { createHash, createHmac } from 'node:crypto'
import { KMSClient } from '@aws-sdk/client-kms'
import type { KMSClientConfig } from '@aws-sdk/client-kms'

export type AccessKey = { accessKeyId: string; secretAccessKey: string }

/** The real SDK client, as a PDS has it: endpoint from the environment, everything else by default. */
export function kmsClient(
  endpoint: string,
  credentials: AccessKey,
  config: KMSClientConfig = {},
): KMSClient {
  return new KMSClient({ endpoint, region: 'eu-north-1', credentials, ...config })
}

/** Everything that goes into a signature, so that a test can change one thing and leave the rest. */
export type ToSign = {
  method: string
  path: string
  /** The query string as it stands in the request line, already canonical. */
  query: string
  headers: Record<string, string>
  body: string | Uint8Array
  key: AccessKey
  service: string
  region: string
  time: Date
  /** Default: every header given, and those which the signer adds. */
  signedHeaders?: string[]
  /** Default: the SHA-256 of the body. */
  payloadHash?: string
  terminator?: string
  day?: string
}

export type Signed = {
  method: string
  target: string
  headers: [name: string, value: string][]
  body: Uint8Array
}

/** A second, small signer: the SDK's cannot be made to sign wrongly. `sigv4.test.ts` compares the two. */
export function signRequest(input: ToSign): Signed {
  const body = typeof input.body === 'string' ? Buffer.from(input.body) : input.body
  const date = amzDate(input.time)
  const headers: Record<string, string> = { 'x-amz-date': date, ...input.headers }
  const names = input.signedHeaders ?? Object.keys(headers).sort()
  const canonical = [
    input.method,
    input.path,
    input.query,
    names.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/\s+/g, ' ')}\n`).join(''),
    names.join(';'),
    input.payloadHash ?? sha256(body),
  ].join('\n')
  const day = input.day ?? date.slice(0, 8)
  const scope = [day, input.region, input.service, input.terminator ?? 'aws4_request']
  const toSign = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')
  const key = scope.reduce<Buffer>(hmac, Buffer.from(`AWS4${input.key.secretAccessKey}`))
  const authorization =
    `AWS4-HMAC-SHA256 Credential=${input.key.accessKeyId}/${scope.join('/')}, ` +
    `SignedHeaders=${names.join(';')}, Signature=${hmac(key, toSign).toString('hex')}`
  return {
    method: input.method,
    target: input.query === '' ? input.path : `${input.path}?${input.query}`,
    headers: [...Object.entries(headers), ['authorization', authorization]],
    body,
  }
}

/** A call to the KMS door as the SDK makes it. */
export function kmsCall(
  action: string,
  input: unknown,
  key: AccessKey,
  changes: Partial<ToSign> = {},
): ToSign {
  return {
    method: 'POST',
    path: '/kms/',
    query: '',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      host: '127.0.0.1:2590',
      'x-amz-target': `TrentService.${action}`,
    },
    body: JSON.stringify(input),
    key,
    service: 'kms',
    region: 'eu-north-1',
    time: new Date(),
    ...changes,
  }
}

/** A call to `/v1`, signed with the same pair. */
export function v1Call(
  path: string,
  query: string,
  key: AccessKey,
  changes: Partial<ToSign> = {},
): ToSign {
  const base = kmsCall('', {}, key)
  const headers = { host: '127.0.0.1:2590' }
  return { ...base, method: 'GET', path, query, headers, body: '', service: 'holdfast', ...changes }
}

export function amzDate(time: Date): string {
  return time.toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
