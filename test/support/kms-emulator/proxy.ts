import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignCommand } from '@aws-sdk/client-kms'
import { compactToDer, derToCompact } from '../../../src/ecdsa/der.ts'
import { curveOrder } from '../../../src/plc/compact.ts'
import type { KmsEmulator, KmsKey } from './emulator.ts'

/** What can happen between Holdfast and AWS KMS, and what AWS KMS itself can do. */
export type KmsFault =
  /** An answer of AWS's, the call never reaches the key. */
  | { readonly mode: 'answer'; readonly status: number; readonly type: string }
  /** The key is used, and the answer is then an error. */
  | { readonly mode: 'signs-and-answers'; readonly status: number; readonly type: string }
  /** Nothing comes back, whether the key is used before or not. */
  | { readonly mode: 'stall' | 'signs-and-stalls' }
  | { readonly mode: 'slow'; readonly ms: number }
  /** Without an answer, and in the middle of one, after the key was used. */
  | { readonly mode: 'reset' | 'reset-mid-answer' }
  | { readonly mode: 'not-json' | 'no-signature' }
  /** Another answer to the same call: what has changed is the signature, its DER, or the key's name. */
  | { readonly mode: 'signature'; readonly change: (compact: Uint8Array) => Uint8Array }
  | { readonly mode: 'der'; readonly change: (der: Uint8Array) => Uint8Array }
  | { readonly mode: 'other-key'; readonly key: KmsKey; readonly named: 'asked' | 'used' }
  | { readonly mode: 'public-key'; readonly key: KmsKey }
  /** Signs until one is as wanted. */
  | { readonly mode: 'until'; readonly wanted: (compact: Uint8Array) => boolean }
  | { readonly mode: 'metadata'; readonly fields: Readonly<Record<string, unknown>> }

export type KmsCall = {
  readonly action: string
  readonly status: number | null
  readonly requestId: string | null
}

type Rule = { readonly on: string; times: number; readonly fault: KmsFault }

export type KmsProxy = Awaited<ReturnType<typeof startKmsProxy>>

/** Stands before the emulator; passes everything on as it came, but for the faults it is told. */
export async function startKmsProxy(emulator: KmsEmulator) {
  const rules: Rule[] = []
  const calls: KmsCall[] = []
  const bodies: Record<string, unknown>[] = []
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy())
  })
  let port = await listen(server, 0)
  let connections = 0
  server.on('connection', () => (connections += 1))

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await receive(request)
    bodies.push(JSON.parse(call.body.toString('utf8')) as Record<string, unknown>)
    const rule = rules.find((known) => known.on === call.action && known.times > 0)
    if (rule !== undefined) rule.times -= 1
    const reply = await answerOf(emulator, call, rule?.fault ?? null)
    const { status = null, requestId = null } = reply.kind === 'reply' ? reply : {}
    calls.push({ action: call.action, status, requestId })
    send(response, reply)
  }

  return {
    url: `http://127.0.0.1:${port}`,
    /** Each call that was answered or not, in the order of their ends. */
    calls,
    /** What was sent, in the order of arrival. */
    bodies,
    connections: () => connections,
    signs: () => calls.filter(({ action }) => action === 'Sign').length,
    fault(fault: KmsFault, { on = 'Sign', times = 1 } = {}) {
      rules.push({ on, times, fault })
    },
    heal() {
      rules.length = 0
    },
    /** Nobody listens any more, and connections end. */
    async down() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
    async up() {
      port = await listen(server, port)
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Call = {
  readonly action: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

type Passed = {
  readonly kind: 'reply'
  readonly status: number
  readonly requestId: string | null
  readonly body: Buffer
}
type Reply =
  | Passed
  | { readonly kind: 'nothing' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'half'; readonly body: Buffer }

async function answerOf(emulator: KmsEmulator, call: Call, fault: KmsFault | null): Promise<Reply> {
  switch (fault?.mode) {
    case undefined:
      return await forward(emulator, call)
    case 'answer':
      return errorOf(fault)
    case 'signs-and-answers':
      await forward(emulator, call)
      return errorOf(fault)
    case 'stall':
      return { kind: 'nothing' }
    case 'signs-and-stalls':
      await forward(emulator, call)
      return { kind: 'nothing' }
    case 'slow':
      await new Promise((resolve) => setTimeout(resolve, fault.ms))
      return await forward(emulator, call)
    case 'reset':
      return { kind: 'reset' }
    case 'reset-mid-answer':
      return { kind: 'half', body: (await forward(emulator, call)).body }
    case 'not-json':
      return { ...(await forward(emulator, call)), body: Buffer.from('<html>gateway</html>') }
    case 'no-signature':
      return await changed(emulator, call, ({ Signature: _signature, ...rest }) => rest)
    case 'signature':
      return await changed(
        emulator,
        call,
        withDer((der) => resigned(der, fault.change)),
      )
    case 'der':
      return await changed(emulator, call, withDer(fault.change))
    case 'other-key':
      return await signedByOther(emulator, call, fault)
    case 'public-key': {
      const other = await forwardFor(emulator, fault.key)
      return await changed(emulator, call, (answer) => ({ ...answer, PublicKey: other }))
    }
    case 'until':
      return await signedUntil(emulator, call, fault.wanted)
    case 'metadata':
      return await changed(emulator, call, ({ KeyMetadata: metadata }) => ({
        KeyMetadata: { ...(metadata as object), ...fault.fields },
      }))
  }
}

type Answer = Record<string, unknown>

/** Host and all other headers stay as they were signed. */
async function forward({ url }: KmsEmulator, { headers, body }: Call): Promise<Passed> {
  const { request } = await import('node:http')
  return await new Promise((resolve, reject) => {
    const onward = request(url, { method: 'POST', headers }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () =>
        resolve({
          kind: 'reply',
          status: answer.statusCode ?? 0,
          requestId: String(answer.headers['x-amzn-requestid'] ?? ''),
          body: Buffer.concat(chunks),
        }),
      )
    })
    onward.on('error', reject)
    onward.end(body)
  })
}

async function changed(
  emulator: KmsEmulator,
  call: Call,
  change: (answer: Answer) => Answer,
): Promise<Reply> {
  const reply = await forward(emulator, call)
  const answer = JSON.parse(reply.body.toString('utf8')) as Answer
  return { ...reply, body: Buffer.from(JSON.stringify(change(answer))) }
}

const withDer =
  (change: (der: Uint8Array) => Uint8Array) =>
  (answer: Answer): Answer => ({
    ...answer,
    Signature: Buffer.from(change(derIn(answer))).toString('base64'),
  })

const derIn = (answer: Answer) => Buffer.from(String(answer['Signature']), 'base64')

const resigned = (der: Uint8Array, change: (compact: Uint8Array) => Uint8Array) =>
  compactToDer(change(derToCompact(der)))

/** Another key signs the same digest, and the answer says that the asked one did, or not. */
async function signedByOther(
  { client }: KmsEmulator,
  { body }: Call,
  { key, named }: KmsFault & { mode: 'other-key' },
): Promise<Reply> {
  const input = JSON.parse(body.toString('utf8')) as { Message: string; KeyId: string }
  const answer = await client.send(
    new SignCommand({
      KeyId: key.arn,
      Message: Buffer.from(input.Message, 'base64'),
      MessageType: 'DIGEST',
      SigningAlgorithm: 'ECDSA_SHA_256',
    }),
  )
  return jsonReply(200, {
    KeyId: named === 'asked' ? input.KeyId : key.arn,
    Signature: Buffer.from(answer.Signature ?? []).toString('base64'),
    SigningAlgorithm: 'ECDSA_SHA_256',
  })
}

async function forwardFor({ client }: KmsEmulator, { arn }: KmsKey): Promise<string> {
  const { GetPublicKeyCommand } = await import('@aws-sdk/client-kms')
  const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId: arn }))
  return Buffer.from(PublicKey ?? []).toString('base64')
}

async function signedUntil(
  emulator: KmsEmulator,
  call: Call,
  wanted: (compact: Uint8Array) => boolean,
): Promise<Reply> {
  for (let tries = 0; tries < 5_000; tries += 1) {
    const reply = await forward(emulator, call)
    if (wanted(derToCompact(derIn(JSON.parse(reply.body.toString('utf8')) as Answer)))) return reply
  }
  throw new Error('no such signature came')
}

const errorOf = ({ status, type }: { status: number; type: string }): Reply =>
  jsonReply(status, { __type: type, message: `the proxy says ${type}` })

const jsonReply = (status: number, answer: Answer): Reply => ({
  kind: 'reply',
  status,
  requestId: randomUUID(),
  body: Buffer.from(JSON.stringify(answer)),
})

function send(response: ServerResponse, reply: Reply): void {
  if (reply.kind === 'nothing') return
  if (reply.kind === 'reset') return void response.socket?.resetAndDestroy()
  if (reply.kind === 'half') {
    response.writeHead(200, { 'content-length': reply.body.length })
    response.write(reply.body.subarray(0, reply.body.length / 2), () =>
      response.socket?.resetAndDestroy(),
    )
    return
  }
  response.writeHead(reply.status, {
    'content-type': 'application/x-amz-json-1.1',
    'content-length': reply.body.length,
    'x-amzn-requestid': reply.requestId ?? '',
  })
  response.end(reply.body)
}

async function receive(request: IncomingMessage): Promise<Call> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const action = String(request.headers['x-amz-target'] ?? '').replace(/^TrentService\./, '')
  return { action, headers: request.headers, body: Buffer.concat(chunks) }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** The other S that signs the same: what an HSM returns half of the time. */
export function highS(curve: KmsKey['curve']): (compact: Uint8Array) => Uint8Array {
  const integer = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
  const n = integer(curveOrder(curve))
  return (compact) => {
    const s = integer(compact.subarray(32))
    const high = s > n / 2n ? s : n - s
    return Buffer.concat([
      compact.subarray(0, 32),
      Buffer.from(high.toString(16).padStart(64, '0'), 'hex'),
    ])
  }
}
