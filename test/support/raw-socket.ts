import { connect } from 'node:net'
import type { Signed } from './aws-client.ts'

/** What came back on a socket until it was closed, and how long that took. */
export type RawAnswer = { status: number | null; text: string; ms: number }

/** The bytes of a request as they stand on the wire. */
export function wireBytes({ method, target, headers, body }: Signed): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

/** The same with what a client adds: the length of the body, and the wish to close. */
export function closing(signed: Signed): Signed {
  const length: [string, string] = ['content-length', String(signed.body.length)]
  return { ...signed, headers: [...signed.headers, length, ['connection', 'close']] }
}

export type RawOptions = {
  /** Half-closes after the bytes; a server that waits for more then knows that none comes. */
  readonly end?: boolean
  readonly timeoutMs?: number
}

/** Sends these bytes and reads until the server closes. */
export function sendRaw(
  url: string,
  bytes: Uint8Array | string,
  { end = false, timeoutMs = 10_000 }: RawOptions = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const start = performance.now()
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error('the server did not close')))
    socket.on('connect', () => (end ? socket.end(bytes) : socket.write(bytes)))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('end', () => socket.end())
    let failure: NodeJS.ErrnoException | null = null
    socket.on('error', (error) => {
      failure = error
    })
    socket.on('close', () => {
      const text = Buffer.concat(chunks).toString('latin1')
      const status = /(?:^|\r\n\r\n)HTTP\/1\.1 ([2-5]\d\d) /.exec(text)?.[1]
      const ms = performance.now() - start
      // A server that closes on unread bytes resets; what it said before still counts.
      const cutOff = failure === null || ['ECONNRESET', 'EPIPE'].includes(failure.code ?? '')
      if (cutOff) resolve({ status: status === undefined ? null : Number(status), text, ms })
      else reject(failure)
    })
  })
}
