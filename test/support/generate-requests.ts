import { decode } from '@ipld/dag-cbor'
import type { AccessKey, Signed, ToSign } from './aws-client.ts'
import { kmsCall, signRequest, v1Call } from './aws-client.ts'
import { generateMessages } from './generate-messages.ts'
import { closing, sendRaw, wireBytes } from './raw-socket.ts'

/** Numbers in [0, 1), the same for the same seed. */
export type Random = () => number

/** mulberry32 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export type GenerateOptions = {
  readonly key: AccessKey
  /** The id of a key that this caller may use. */
  readonly keyId: string
  /** What is asked to be signed, endless. */
  readonly messages: Iterator<Uint8Array>
  /** Requests of the caller's that exist. */
  readonly ids: readonly string[]
}

export type Generated = {
  readonly bytes: Buffer
  /** Whether its end can be told from its bytes; else the server would wait for more. */
  readonly framed: boolean
}

/** One request: a good call, spoiled nowhere, in one layer or in several, or noise. */
export function generateRequest(random: Random, options: GenerateOptions): Generated {
  if (chance(random, 0.03)) return { bytes: randomBytes(random, int(random, 400)), framed: false }
  const call = goodCall(random, options)
  if (chance(random, 0.5)) spoilCall(random, call)
  const signed = signRequest(call)
  const spoiled = chance(random, 0.3)
  if (spoiled) spoilSigned(random, signed)
  const bytes = wireBytes(closing(signed))
  if (chance(random, 0.15)) return { bytes: spoilBytes(random, bytes), framed: false }
  return { bytes, framed: !spoiled && isPlain(signed) }
}

/** What a client of a library would send: no line break or NUL smuggled into its head. */
function isPlain({ method, target, headers }: Signed): boolean {
  const head = [method, target, ...headers.flat()].join('')
  return !/[\0\r\n]/.test(head) && headers.every(([name]) => !/[^!-~]/.test(name))
}

export type FuzzReport = {
  /** How often each status came; `null`: the server closed without one. */
  readonly statuses: ReadonlyMap<number | null, number>
  /** Requests that were answered with a 5xx or not in time, as latin1 text. */
  readonly failures: readonly string[]
}

export type FuzzOptions = Omit<GenerateOptions, 'messages' | 'ids'> & {
  readonly url: string
  readonly seed: number
  readonly count: number
  readonly messages?: Iterator<Uint8Array>
  /** Called after each answer with their number so far. */
  readonly onDone?: (done: number) => Promise<void>
}

/**
 * Sends `count` generated requests, sixteen at a time. Which ones depends on the seed alone, but for the
 * ids of requests, which the service makes.
 */
export async function fuzzDoor(options: FuzzOptions): Promise<FuzzReport> {
  const random = seededRandom(options.seed)
  const ids = ['00000000-0000-4000-8000-000000000001']
  const generated = { messages: generateMessages(options.seed), ...options, ids }
  const statuses = new Map<number | null, number>()
  const failures: string[] = []
  let left = options.count
  let done = 0
  const sendOn = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const { bytes, framed } = generateRequest(random, generated)
      const { status, text } = await sendRaw(options.url, bytes, { end: !framed }).catch(
        (error: unknown) => ({ status: 599, text: String(error) }),
      )
      keepIds(ids, text)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status !== null && status >= 500) {
        failures.push(`${bytes.toString('latin1')}\n→ ${text}`)
      }
      await options.onDone?.(done++)
    }
  }
  await Promise.all(Array.from({ length: 16 }, sendOn))
  return { statuses, failures }
}

const KEPT_IDS = 64

function keepIds(ids: string[], answer: string): void {
  for (const [, id = ''] of answer.matchAll(/"id":"([0-9a-f-]{36})"/g)) ids.push(id)
  ids.splice(0, ids.length - KEPT_IDS)
}

function goodCall(random: Random, options: GenerateOptions): ToSign {
  const { key, keyId, messages, ids } = options
  const kind = int(random, 10)
  if (kind === 0) return v1Call(pick(random, ['/v1/requests', '/v1/keys']), '', key)
  if (kind === 1) return kmsCall('GetPublicKey', { KeyId: keyId }, key)
  if (kind === 2) return kmsCall('DescribeKey', { KeyId: keyId }, key)
  if (kind <= 4) {
    const action = pick(random, ['', '/sign', '/sign', '/submit', '/cancel'])
    const method = action === '' ? 'GET' : 'POST'
    return v1Call(`/v1/requests/${pick(random, ids)}${action}`, '', key, { method })
  }
  const message = messages.next().value as Uint8Array
  const base64 = Buffer.from(message).toString('base64')
  if (kind <= 6) return proposal(key, bodyOf(random, { keyId, message, base64 }))
  const Message = base64
  return kmsCall('Sign', { KeyId: keyId, Message, SigningAlgorithm: 'ECDSA_SHA_256' }, key)
}

function proposal(key: AccessKey, body: string): ToSign {
  const headers = { host: '127.0.0.1:2590', 'content-type': 'application/json' }
  return v1Call('/v1/requests', '', key, { method: 'POST', headers, body })
}

/** As base64, or as JSON where the message has such a form. */
function bodyOf(
  random: Random,
  { keyId, message, base64 }: { keyId: string; message: Uint8Array; base64: string },
): string {
  const asBase64 = JSON.stringify({ key: keyId, unsigned: base64 })
  if (chance(random, 0.5)) return asBase64
  try {
    return JSON.stringify({ key: keyId, operation: decode(message) })
  } catch {
    return asBase64
  }
}

/** Before the signature: what a caller in its right mind or out of it may sign. */
function spoilCall(random: Random, call: ToSign): void {
  const spoil = pick<() => void>(random, [
    () => (call.body = spoilJson(random, String(call.body))),
    () => (call.body = spoilJson(random, String(call.body))),
    () => (call.body = spoilBytes(random, Buffer.from(String(call.body)))),
    () => (call.body = randomBytes(random, int(random, 70_000))),
    () => (call.body = '['.repeat(int(random, 60_000))),
    () => (call.method = pick(random, ['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'])),
    () =>
      (call.path = pick(random, ['/kms', '/', '/kms/../kms/', '/v1', '/v1/requests/', '/readyz'])),
    () => (call.path = `/v1/requests/${randomText(random, 40)}`),
    () => (call.query = randomText(random, 30)),
    () =>
      (call.query = pick(random, ['limit=1', 'limit=999', 'cursor=x', 'a=%ff', 'X-Amz-Date=1'])),
    () => (call.region = randomText(random, 20)),
    () => (call.service = pick(random, ['kms', 'holdfast', 's3', ''])),
    () => (call.time = new Date(Date.now() + int(random, 2_000_000) - 1_000_000)),
    () => (call.key = { ...call.key, accessKeyId: randomText(random, 40) }),
    () => (call.signedHeaders = Object.keys(call.headers).slice(int(random, 3))),
    () => (call.headers[randomText(random, 12)] = randomText(random, 60)),
    () => (call.headers[pick(random, Object.keys(call.headers))] = randomText(random, 60)),
    () =>
      (call.headers['x-amz-target'] =
        `TrentService.${pick(random, ['Encrypt', 'Sign', '', '__proto__'])}`),
  ])
  spoil()
}

/** After the signature: what somebody on the way may do. */
function spoilSigned(random: Random, signed: Signed): void {
  const at = int(random, signed.headers.length)
  const header = signed.headers[at]!
  const spoil = pick<() => void>(random, [
    () => signed.headers.splice(at, 1),
    () => signed.headers.push(header),
    () => signed.headers.push([header[0].toUpperCase(), header[1]]),
    () => (header[1] = spoilBytes(random, Buffer.from(header[1])).toString('latin1')),
    () => (header[1] = randomText(random, 200)),
    () => (signed.body = spoilBytes(random, Buffer.from(signed.body))),
    () => (signed.target = `${signed.target}${randomText(random, 10)}`),
    () => signed.headers.push(['transfer-encoding', 'chunked']),
    () => signed.headers.push(['content-length', String(int(random, 1e9))]),
    () => signed.headers.push(['expect', '100-continue']),
    () => signed.headers.push(['upgrade', 'h2c'], ['connection', 'upgrade']),
    () => signed.headers.push(['authorization', `Bearer ${randomText(random, 60)}`]),
  ])
  spoil()
}

const ODD_VALUES: unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'RAW',
  'DIGEST',
  [],
  {},
  ['pds'],
  { a: 1 },
]

function spoilJson(random: Random, text: string): string {
  if (text === '') return text
  const fields = Object.entries(JSON.parse(text) as object)
  const at = int(random, fields.length)
  const name = pick(random, [
    fields[at]![0],
    'MessageType',
    'GrantTokens',
    '__proto__',
    'constructor',
  ])
  const value = chance(random, 0.5) ? pick(random, ODD_VALUES) : randomText(random, 5000)
  const kept = chance(random, 0.5) ? fields.filter((_, i) => i !== at) : fields
  // By hand, since an object would swallow `__proto__` and repeated names.
  const parts = [...kept, [name, value]].map((pair) =>
    pair.map((part) => JSON.stringify(part)).join(':'),
  )
  return `{${parts.join(',')}}`
}

function spoilBytes(random: Random, bytes: Buffer): Buffer {
  const at = int(random, bytes.length + 1)
  switch (int(random, 4)) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      return Buffer.concat([bytes.subarray(0, at), randomBytes(random, 8), bytes.subarray(at)])
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + int(random, 8))])
    default: {
      const flipped = Buffer.from(bytes)
      if (at < flipped.length) flipped[at]! ^= 1 << int(random, 8)
      return flipped
    }
  }
}

function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => int(random, 256)))
}

/** Mostly printable, now and then what a parser may trip over. */
function randomText(random: Random, longest: number): string {
  const odd = [
    '\0',
    '\r\n',
    '\t',
    '%',
    '%2f',
    '\u00e9',
    '\u202e',
    '\ud800',
    '../',
    '"',
    '\\',
    ';',
    ',',
  ]
  return Array.from({ length: int(random, longest) }, () =>
    chance(random, 0.9) ? String.fromCharCode(33 + int(random, 94)) : pick(random, odd),
  ).join('')
}

function chance(random: Random, share: number): boolean {
  return random() < share
}

function int(random: Random, below: number): number {
  return Math.floor(random() * below)
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[int(random, list.length)]!
}
