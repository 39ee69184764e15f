import { readFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { SignNow } from '../../src/custody/sign-now.ts'
import type { AppDeps } from '../../src/http/app.ts'
import { createApp } from '../../src/http/app.ts'
import type { Listening, ListenOptions } from '../../src/http/server.ts'
import { listen } from '../../src/http/server.ts'
import type { Signed } from '../support/aws-client.ts'
import { kmsCall, signRequest } from '../support/aws-client.ts'
import type { LogLine } from './door-deps.ts'
import { doorDeps, pds } from './door-deps.ts'
import { closing, sendRaw, wireBytes } from '../support/raw-socket.ts'

const open: Listening[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()))
})

async function start(
  changes: Partial<AppDeps> = {},
  bounds: NonNullable<ListenOptions['bounds']> = {},
): Promise<Listening & { lines: LogLine[] }> {
  const { deps, lines } = doorDeps(changes)
  const server = await listen(createApp(deps), {
    host: '127.0.0.1',
    port: 0,
    bounds: { drainMs: 500, ...bounds },
  })
  open.push(server)
  return { ...server, lines }
}

function publicKeyCall(): Signed {
  return signRequest(kmsCall('GetPublicKey', { KeyId: 'pds' }, pds))
}

function withHeaders(signed: Signed, ...headers: Signed['headers']): Signed {
  return { ...signed, headers: [...signed.headers, ...headers] }
}

/** Still serves, whatever came before. */
async function expectAlive(url: string): Promise<void> {
  const { status } = await sendRaw(url, wireBytes(closing(publicKeyCall())))
  expect(status).toBe(200)
}

describe('on the wire', () => {
  const manyHeaders = Array.from({ length: 2500 }, (_, i): [string, string] => [`${i}`, ''])

  it('a good request is answered, with a Date for clients whose clock is off', async () => {
    const { url } = await start()
    const { status, text } = await sendRaw(url, wireBytes(closing(publicKeyCall())))
    expect(status).toBe(200)
    expect(text).toMatch(/\r\ndate: \w{3}, /i)
    expect(text).not.toMatch(/\r\n(server|x-powered-by): /i)
  })

  it('a body without a length is read as well', async () => {
    const { url } = await start()
    const signed = publicKeyCall()
    const chunk = `${signed.body.length.toString(16)}\r\n${Buffer.from(signed.body).toString()}\r\n0\r\n\r\n`
    const body = Buffer.from(chunk)
    const headers: Signed['headers'] = [
      ['transfer-encoding', 'chunked'],
      ['connection', 'close'],
    ]
    const { status } = await sendRaw(url, wireBytes({ ...withHeaders(signed, ...headers), body }))
    expect(status).toBe(200)
  })

  it.each<[string, string, (signed: Signed) => Signed | string | Buffer]>([
    [
      'a signed header twice',
      'IncompleteSignatureException',
      (s) => withHeaders(s, ['Host', '127.0.0.1:2590']),
    ],
    [
      'an Authorization twice',
      'IncompleteSignatureException',
      (s) => withHeaders(s, ...s.headers.slice(-1)),
    ],
    [
      'a target header twice',
      'IncompleteSignatureException',
      (s) => withHeaders(s, ['X-AMZ-Target', 'TrentService.Sign']),
    ],
    [
      'an absolute target',
      'IncompleteSignatureException',
      (s) => ({ ...s, target: 'http://127.0.0.1/kms/' }),
    ],
    ['dots in its path', 'IncompleteSignatureException', (s) => ({ ...s, target: '/x/../kms/' })],
    [
      'escaped dots in its path',
      'IncompleteSignatureException',
      (s) => ({ ...s, target: '/x/%2e%2e/kms/' }),
    ],
    ['an escape in its path', 'IncompleteSignatureException', (s) => ({ ...s, target: '/%6bms/' })],
    ['a fragment', 'HTTP/1.1 40', (s) => ({ ...s, target: '/kms/#a' })],
    ['a backslash in its path', 'HTTP/1.1 40', (s) => ({ ...s, target: '/kms\\' })],
    ['a host that is none', 'HTTP/1.1 400', (s) => ({ ...s, headers: [['host', 'a/b@c']] })],
    [
      'a host that looks like an address',
      'InvalidSignatureException',
      (s) => ({
        ...s,
        headers: s.headers.map(([n, v]): [string, string] => [n, n === 'host' ? '127.0.0590' : v]),
      }),
    ],
    [
      'no host',
      'HTTP/1.1 400',
      (s) => ({ ...s, headers: s.headers.filter(([n]) => n !== 'host') }),
    ],
    ['two lengths', 'HTTP/1.1 400', (s) => withHeaders(s, ['content-length', '0'])],
    [
      'a length and chunks',
      'HTTP/1.1 400',
      (s) => withHeaders(s, ['transfer-encoding', 'chunked']),
    ],
    [
      'a header with a space before its colon',
      'HTTP/1.1 400',
      (s) => withHeaders(s, ['x-a ', 'b']),
    ],
    ['a folded header', 'HTTP/1.1 400', (s) => withHeaders(s, ['x-a', 'b\r\n c'])],
    ['a NUL in a header', 'HTTP/1.1 400', (s) => withHeaders(s, ['x-a', 'b\0c'])],
    ['a CR in a header', 'HTTP/1.1 400', (s) => withHeaders(s, ['x-a', 'b\rc'])],
    ['20 kB of headers', 'HTTP/1.1 431', (s) => withHeaders(s, ['x-a', 'b'.repeat(20_000)])],
    [
      'a repeat behind 2,500 headers',
      'IncompleteSignatureException',
      (s) => withHeaders(s, ...manyHeaders, ['Host', 'h']),
    ],
    ['TRACE', 'HTTP/1.1 405', (s) => ({ ...s, method: 'TRACE' })],
    ['an unknown method', 'HTTP/1.1 400', (s) => ({ ...s, method: 'BREW' })],
    ['HTTP/2', 'HTTP/1.1 ', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    [
      'lines without CR',
      'HTTP/1.1 400',
      (s) => wireBytes(s).toString('latin1').replaceAll('\r\n', '\n'),
    ],
    ['TLS to a plain port', 'HTTP/1.1 400', () => Buffer.from('16030100c8010000c40303', 'hex')],
    ['noise', 'HTTP/1.1 400', () => Buffer.alloc(1000, 0xff)],
  ])('%s is refused, and the next request served', async (_, expected, change) => {
    const { url, lines } = await start()
    const changed = change(closing(publicKeyCall()))
    const bytes =
      typeof changed === 'string' || Buffer.isBuffer(changed) ? changed : wireBytes(changed)
    const { status, text } = await sendRaw(url, bytes, { end: true })
    expect(text).toMatch(expected)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
    await expectAlive(url)
  })

  it('a body that grows past 64 kB without having said so is refused while it is sent', async () => {
    const { url } = await start()
    const headers: Signed['headers'] = [
      ['transfer-encoding', 'chunked'],
      ['connection', 'close'],
    ]
    const chunk = `10000\r\n${'a'.repeat(0x10000)}\r\n`
    const body = Buffer.from(chunk.repeat(4))
    const { text, ms } = await sendRaw(
      url,
      wireBytes({ ...withHeaders(publicKeyCall(), ...headers), body }),
    )
    expect(text).toContain('ValidationException')
    expect(ms).toBeLessThan(5_000)
    await expectAlive(url)
  })

  it('a body that says it is a gigabyte is refused at once', async () => {
    const { url } = await start()
    const headers: Signed['headers'] = [
      ['content-length', String(2 ** 30)],
      ['connection', 'close'],
    ]
    const head = wireBytes({ ...withHeaders(publicKeyCall(), ...headers), body: new Uint8Array() })
    const { text } = await sendRaw(url, head)
    expect(text).toContain('ValidationException')
  })

  it('pipelined requests are answered one by one', async () => {
    const { url } = await start()
    const first = withHeaders(publicKeyCall(), ['content-length', '15'])
    const bytes = Buffer.concat([wireBytes(first), wireBytes(closing(publicKeyCall()))])
    const { text } = await sendRaw(url, bytes)
    expect(text.match(/HTTP\/1\.1 200 /g)).toHaveLength(2)
  })
})

describe('whoever is slow', () => {
  const bounds = { headersMs: 200, requestMs: 400, checkMs: 50 }

  it.each([
    ['sends nothing', ''],
    ['stops in its headers', 'POST /kms/ HTTP/1.1\r\nHost: a\r\nX-A: '],
    ['stops in its body', 'POST /kms/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc'],
  ])('and %s is cut off', async (_, bytes) => {
    const { url } = await start({}, bounds)
    const { ms, text } = await sendRaw(url, bytes)
    expect(ms).toBeLessThan(5_000)
    expect(text).toMatch(/^HTTP\/1\.1 4|^$/)
    await expectAlive(url)
  })

  it('and sends a byte now and then is cut off too', async () => {
    const { url } = await start({}, bounds)
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    socket.write('POST /kms/ HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n')
    const drip = setInterval(() => socket.write('a'), 20)
    const begun = performance.now()
    await new Promise((resolve) => socket.on('close', resolve))
    clearInterval(drip)
    expect(performance.now() - begun).toBeLessThan(5_000)
  })

  it('and holds all connections there are loses them', async () => {
    const { url } = await start(
      {},
      { headersMs: 1_000, requestMs: 1_000, checkMs: 50, connections: 2 },
    )
    const slow = [sendRaw(url, 'P'), sendRaw(url, 'P')]
    const good = wireBytes(closing(publicKeyCall()))
    await expect.poll(async () => (await sendRaw(url, good)).status).toBeNull()
    await Promise.all(slow)
    await expectAlive(url)
  })
})

describe('a client that goes away', () => {
  async function goAway(url: string, bytes: Uint8Array | string): Promise<void> {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.resetAndDestroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }

  it('in the middle of its body harms nobody', async () => {
    const { url, lines } = await start()
    await goAway(url, 'POST /kms/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
    await expectAlive(url)
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('while its signature is made does not stop the signature', async () => {
    let finished = false
    const signNow: SignNow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 300))
      finished = true
      return { kind: 'signed', requestId: 'r', compact: new Uint8Array(64).fill(1) }
    }
    const { url, lines } = await start({ signNow })
    const input = { KeyId: 'pds', Message: 'YQ==', SigningAlgorithm: 'ECDSA_SHA_256' }
    const signed = signRequest(kmsCall('Sign', input, pds))
    await goAway(
      url,
      wireBytes(withHeaders(signed, ['content-length', String(signed.body.length)])),
    )
    await expect.poll(() => finished).toBe(true)
    await expectAlive(url)
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

describe('close', () => {
  const input = { KeyId: 'pds', Message: 'YQ==', SigningAlgorithm: 'ECDSA_SHA_256' }
  /** A Sign on a connection that the client would keep. */
  function kept(): Buffer {
    const signed = signRequest(kmsCall('Sign', input, pds))
    return wireBytes(withHeaders(signed, ['content-length', String(signed.body.length)]))
  }

  function held(): { signNow: SignNow; begun: Promise<void>; release: () => void } {
    const begun = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const signNow: SignNow = async () => {
      begun.resolve()
      await released.promise
      return { kind: 'signed', requestId: 'r', compact: new Uint8Array(64).fill(1) }
    }
    return { signNow, begun: begun.promise, release: released.resolve }
  }

  it('takes no new connection, lets the last answer out, and does not wait for its client', async () => {
    const { signNow, begun, release } = held()
    const { url, close } = await start({ signNow }, { drainMs: 10_000 })
    const answer = sendRaw(url, kept())
    await begun
    const closed = close()
    await expect(sendRaw(url, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')).rejects.toThrow(
      'ECONNREFUSED',
    )
    release()
    expect((await answer).status).toBe(200)
    await closed
    expect((await answer).ms).toBeLessThan(5_000)
  })

  it('ends connections on which nothing happens', async () => {
    const { url, close } = await start({}, { drainMs: 10_000 })
    const idle = sendRaw(url, 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
    await new Promise((resolve) => setTimeout(resolve, 100))
    await close()
    expect(await idle).toMatchObject({ status: 200 })
  })

  it('waits no longer than its bound', async () => {
    const { signNow, begun } = held()
    const { url, close } = await start({ signNow }, { drainMs: 100 })
    const answer = sendRaw(url, kept())
    await begun
    await close()
    expect((await answer).status).toBeNull()
  })

  it('waits for work whose client has gone away, within its bound', async () => {
    const { signNow, begun, release } = held()
    const { url, close } = await start({ signNow }, { drainMs: 10_000 })
    const answer = sendRaw(url, kept(), { timeoutMs: 50 }).catch(() => null)
    await begun
    await answer
    let closed = false
    const closing = close().then(() => (closed = true))
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(closed).toBe(false)
    release()
    await closing
  })

  it('may be called twice', async () => {
    const { close } = await start()
    await expect(Promise.all([close(), close()])).resolves.toBeDefined()
  })
})

describe('listen', () => {
  it('throws when the port is taken', async () => {
    const { url } = await start()
    const port = Number(new URL(url).port)
    const app = createApp(doorDeps().deps)
    await expect(listen(app, { host: '127.0.0.1', port })).rejects.toThrow('EADDRINUSE')
  })

  it('speaks TLS with the certificate it is given', async () => {
    const [cert, key] = ['cert', 'key'].map((name) =>
      readFileSync(new URL(`tls/${name}.pem`, import.meta.url), 'utf8'),
    ) as [string, string]
    const server = await listen(createApp(doorDeps().deps), {
      host: '127.0.0.1',
      port: 0,
      tls: { cert, key },
    })
    open.push(server)
    expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const status = await new Promise((resolve, reject) => {
      const request = httpsRequest(
        `${server.url}/healthz`,
        { ca: cert, agent: false },
        (response) => {
          response.resume()
          resolve(response.statusCode)
        },
      )
      request.on('error', reject).end()
    })
    expect(status).toBe(200)
  })
})
