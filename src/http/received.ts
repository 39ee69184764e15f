import type { Readable } from 'node:stream'

/** What Node gives a listener, as far as the doors read it. */
export type Incoming = Readable & {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly rawHeaders: readonly string[]
}

/** A request read once and whole. `target` is the request line's own, not a URL made from it; header names are lower-case. */
export type Received = {
  readonly method: string
  readonly target: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
}

/** An unsigned operation has at most 4 kB; no other body is longer. */
const MAX_BODY = 64 * 1024

export type ReceiveErrorCode = 'repeated-header' | 'too-large' | 'broken-off'

export class ReceiveError extends Error {
  override readonly name = 'ReceiveError'
  readonly code: ReceiveErrorCode

  constructor(code: ReceiveErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Takes the whole request, or throws `ReceiveError`. Not more than `MAX_BODY` bytes are ever kept. */
export async function receive(incoming: Incoming): Promise<Received> {
  const headers = readHeaders(incoming.rawHeaders)
  if (Number(headers.get('content-length') ?? 0) > MAX_BODY) throw tooLarge()
  const body = await readBody(incoming)
  return { method: incoming.method ?? '', target: incoming.url ?? '', headers, body }
}

/**
 * Node's own view keeps the first of some repeated headers and joins others; a proxy before us may do it the other way
 * round, and then the header that was signed is not the one that is read. So no header may come twice.
 */
export function readHeaders(rawHeaders: readonly string[]): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    if (headers.has(name)) throw new ReceiveError('repeated-header', 'a header is repeated')
    headers.set(name, rawHeaders[i + 1]!)
  }
  return headers
}

function readBody(incoming: Readable): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const onData = (chunk: Buffer): void => {
      length += chunk.length
      if (length <= MAX_BODY) chunks.push(chunk)
      else settle(() => reject(tooLarge()))
    }
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)))
    const onClose = (): void =>
      settle(() => reject(new ReceiveError('broken-off', 'the body was not sent to its end')))
    const settle = (answer: () => void): void => {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose)
      answer()
    }
    // The error listener stays: a socket that breaks after the answer must find one, or the process ends.
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
    if (incoming.destroyed) onClose()
  })
}

function tooLarge(): ReceiveError {
  return new ReceiveError('too-large', `the body is larger than ${MAX_BODY} bytes`)
}
