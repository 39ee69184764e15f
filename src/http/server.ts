import { createServer } from 'node:http'
import type { RequestListener, Server, ServerOptions } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { RequestError, getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import type { HttpEnv } from './env.ts'

export type ListenOptions = {
  readonly host: string
  /** 0: any free port, named in the `url` of the answer. */
  readonly port: number
  /** PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly bounds?: Partial<ServerBounds>
}

export type ServerBounds = {
  /** From the first byte of a request to the end of its headers. */
  readonly headersMs: number
  /** From the first byte of a request to its last. */
  readonly requestMs: number
  /** Longer than the idle time of usual clients and proxies, so that they close first and lose no request. */
  readonly keepAliveMs: number
  /** How often the first two are looked at. */
  readonly checkMs: number
  readonly connections: number
  /** How long `close` waits for requests under way. */
  readonly drainMs: number
}

export type Listening = {
  readonly url: string
  /** Stops accepting, lets requests under way finish, and resolves when the last socket is gone. */
  readonly close: () => Promise<void>
}

const BOUNDS: ServerBounds = {
  headersMs: 10_000,
  requestMs: 20_000,
  keepAliveMs: 75_000,
  checkMs: 1_000,
  connections: 1_024,
  drainMs: 10_000,
}

/** @throws when the address is not to be had or the certificate is not one */
export async function listen(app: Hono<HttpEnv>, options: ListenOptions): Promise<Listening> {
  const bounds = { ...BOUNDS, ...options.bounds }
  const calls = new Set<Promise<unknown>>()
  const server = createBoundedServer(createListener(app, calls), options.tls, bounds)
  const drain = prepareDrain(server, calls, bounds.drainMs)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  let closed: Promise<void> | null = null
  return {
    url: urlOf(server.address() as AddressInfo, options.tls),
    close: () => (closed ??= drain()),
  }
}

function createListener(app: Hono<HttpEnv>, calls: Set<Promise<unknown>>): RequestListener {
  const serve: typeof app.fetch = async (...args) => {
    const call = Promise.resolve(app.fetch(...args))
    calls.add(call)
    return await call.finally(() => calls.delete(call))
  }
  const listener = getRequestListener(serve, {
    // `Response` stays Node's own for the rest of the process.
    overrideGlobalObjects: false,
    // Before the app: a request line or Host header that makes no URL. Otherwise its own error answer failed.
    errorHandler: (error) =>
      new Response(null, { status: error instanceof RequestError ? 400 : 500 }),
  })
  return (request, response) => void listener(request, response)
}

function createBoundedServer(
  listener: RequestListener,
  tls: ListenOptions['tls'],
  bounds: ServerBounds,
): Server {
  const settings: ServerOptions = {
    headersTimeout: bounds.headersMs,
    requestTimeout: bounds.requestMs,
    keepAliveTimeout: bounds.keepAliveMs,
    connectionsCheckingInterval: bounds.checkMs,
    maxHeaderSize: 16 * 1024,
  }
  const secure = {
    ...settings,
    ...tls,
    minVersion: 'TLSv1.2',
    handshakeTimeout: bounds.headersMs,
  } as const
  const server =
    tls === undefined ? createServer(settings, listener) : createTlsServer(secure, listener)
  server.maxConnections = bounds.connections
  // Headers past a count are dropped from Node's `headers`, not from its `rawHeaders`; their size is bounded already.
  server.maxHeadersCount = 0
  return server
}

/**
 * Node closes idle sockets once, when `close` is called; the busy ones have to be closed as they become idle. And it
 * knows sockets only: whoever asked and went away has left work under way, which needs the database until it is done.
 */
function prepareDrain(
  server: Server,
  calls: ReadonlySet<Promise<unknown>>,
  drainMs: number,
): () => Promise<void> {
  let draining = false
  server.prependListener('request', (_, response) => {
    response.once('close', () => {
      if (draining) server.closeIdleConnections()
    })
  })
  return () =>
    new Promise((resolve) => {
      draining = true
      const bound = setTimeout(() => server.closeAllConnections(), drainMs)
      const late = new Promise<void>((resolve) => setTimeout(resolve, drainMs).unref())
      server.close(() => {
        clearTimeout(bound)
        void Promise.race([Promise.allSettled(calls), late]).then(() => resolve())
      })
    })
}

function urlOf({ address, family, port }: AddressInfo, tls: ListenOptions['tls']): string {
  const host = family === 'IPv6' ? `[${address}]` : address
  return `${tls === undefined ? 'http' : 'https'}://${host}:${port}`
}
