import { createHash, createHmac } from 'node:crypto'

/** The pair that a PDS has too; the secret never crosses the wire. */
export type SigV4Credential = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** The service's own; a request that is signed for `kms` is another one. */
const SCOPE = ['holdfast', 'holdfast', 'aws4_request'] as const

/** The headers that sign one call: method, path, query and body, for five minutes from `time`. */
export function sigV4Headers(
  call: { method: string; url: URL; body: string },
  { accessKeyId, secretAccessKey }: SigV4Credential,
  time: Date,
): Record<string, string> {
  const date = time.toISOString().replace(/[-:]|\.\d{3}/g, '')
  const { method, url, body } = call
  const canonical = [
    method,
    url.pathname,
    url.search.slice(1).split('&').sort().join('&'),
    `host:${url.host}\nx-amz-date:${date}\n`,
    'host;x-amz-date',
    sha256(body),
  ].join('\n')
  const scope = [date.slice(0, 8), ...SCOPE]
  const toSign = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')
  const key = scope.reduce<Buffer>(hmac, Buffer.from(`AWS4${secretAccessKey}`))
  const signature = hmac(key, toSign).toString('hex')
  return {
    'x-amz-date': date,
    authorization:
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope.join('/')}, ` +
      `SignedHeaders=host;x-amz-date, Signature=${signature}`,
  }
}

function sha256(data: string): string {
  return createHash('sha256').update(data).digest('hex')
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest()
}
