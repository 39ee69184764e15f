// A TEST DIRECTORY OF OURS, NOT THE REAL ONE. The real PLC server that can be installed (npm
// `@did-plc/server` 0.0.1, see `plc-server.ts`) is from 2023: it has no size limits, no limits per
// DID and no sequence numbers, its clock cannot be moved, and it never fails on purpose. Where a test
// needs one of those it uses this one: rules R1 to R10 and the answers of plc.md §6, in memory.
// It judges by code of its own (`directory/`) and by `@atproto/crypto`, never by Holdfast's
// `src/plc`, so that the two can catch each other. It has no stream and no limits per address.
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkIncoming, checkRate } from './directory/constraints.ts'
import { cidOf, judge } from './directory/log.ts'
import { Refusal } from './directory/operation.ts'
import type { Entry } from './directory/operation.ts'
import { answerRead } from './directory/read.ts'
import type { Answer } from './directory/read.ts'

/** `refuse`: 503, nothing done · `hang`: no answer, nothing done · `accept and hang`, `accept and
 *  fail`: done, but the caller never hears so · `too many`: 429 with Retry-After · `slow`:
 *  waits before it answers, a submission after it was judged and before it is written (R10). */
export type Fault = {
  on: 'read' | 'submit'
  mode: 'refuse' | 'hang' | 'accept and hang' | 'accept and fail' | 'too many' | 'slow'
  times: number
  /** Delay of `slow`. */
  ms?: number
}

export type TestDirectory = {
  url: string
  now(): Date
  /** Stops the clock at `at`; null lets it run again. */
  setClock(at: Date | null): void
  /** The next `times` requests of that kind meet the fault; faults are used in the order given. */
  fail(fault: Fault): void
  /** Every entry as the audit log would list it. */
  entries(did: string): readonly Entry[]
  /** History that was never judged here: a vector, or another directory's log. */
  load(entries: readonly Entry[]): void
  /** `METHOD /path` of every request so far. */
  requests(): readonly string[]
  stop(): Promise<void>
}

export type DirectoryOptions = {
  /** Per-DID limits on; default true. */
  limits?: boolean
  /** The TypeScript server answers 404 for a tombstoned DID, the Go replica 410. */
  tombstoneStatus?: 404 | 410
}

const BODY_LIMIT = 100 * 1024
const HANGING = Symbol('no answer')

type State = {
  entries: Entry[]
  faults: Fault[]
  requests: string[]
  clock: Date | null
  limits: boolean
  tombstoneStatus: 404 | 410
}

export async function startDirectory(options: DirectoryOptions = {}): Promise<TestDirectory> {
  const { limits = true, tombstoneStatus = 404 } = options
  const state: State = {
    entries: [],
    faults: [],
    requests: [],
    clock: null,
    limits,
    tombstoneStatus,
  }
  const server = createServer((request, response) => void serve(state, request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    now: () => now(state),
    setClock: (at) => void (state.clock = at),
    fail: (fault) => void state.faults.push({ ...fault }),
    entries: (did) => state.entries.filter((entry) => entry.did === did),
    load: (entries) => void state.entries.push(...structuredClone(entries)),
    requests: () => state.requests,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function serve(state: State, request: IncomingMessage, response: ServerResponse) {
  state.requests.push(`${request.method} ${request.url}`)
  const answer = await answerTo(state, request).catch((error: unknown): Answer => {
    if (error instanceof Refusal) return { status: error.status, json: { message: error.message } }
    return { status: 500, json: { message: 'Internal Server Error' } }
  })
  if (answer === HANGING) return
  const type = answer.type ?? (answer.json === undefined ? 'text/plain' : 'application/json')
  const headers = { 'content-type': type, 'access-control-allow-origin': '*', ...answer.headers }
  response.writeHead(answer.status, headers)
  response.end(answer.json === undefined ? answer.text : JSON.stringify(answer.json))
}

async function answerTo(state: State, request: IncomingMessage): Promise<Answer | typeof HANGING> {
  const url = new URL(request.url ?? '/', 'http://directory')
  const on = request.method === 'POST' ? 'submit' : 'read'
  const fault = takeFault(state, on)
  switch (fault?.mode) {
    case 'refuse':
      return { status: 503, json: { message: 'Service Unavailable' } }
    case 'too many':
      return {
        status: 429,
        json: { message: 'Too Many Requests' },
        headers: { 'retry-after': '1' },
      }
    case 'hang':
      return HANGING
    case 'slow':
    case 'accept and hang':
    case 'accept and fail':
    case undefined:
  }
  const pause = async (): Promise<void> => {
    if (fault?.mode === 'slow') await sleep(fault.ms ?? 1_000)
  }
  const answer =
    on === 'submit' ? await submit(state, request, pause) : await read(state, url, pause)
  if (fault?.mode === 'accept and hang') return HANGING
  if (fault?.mode === 'accept and fail') return { status: 502, text: 'Bad Gateway' }
  return answer
}

function takeFault(state: State, on: Fault['on']): Fault | undefined {
  const fault = state.faults.find((fault) => fault.on === on && fault.times > 0)
  if (fault !== undefined) fault.times -= 1
  return fault
}

type Pause = () => Promise<void>

async function read(state: State, url: URL, pause: Pause): Promise<Answer> {
  await pause()
  return answerRead(url, state)
}

async function submit(state: State, request: IncomingMessage, pause: Pause): Promise<Answer> {
  const did = decodeURIComponent((request.url ?? '/').slice(1))
  const operation = checkIncoming(await readBody(request))
  const active = activeOf(state, did)
  const nullified = await judge(did, active, operation, now(state))
  if (nullified.length === 0 && state.limits) checkRate(active, now(state))
  await pause()
  // R10: judging took a while, and whoever wrote in the meantime has won
  const head = activeOf(state, did).at(-1)
  if (head?.cid !== active.at(-1)?.cid) {
    throw new Refusal(409, `Proposed prev does not match the most recent operation: ${head?.cid}`)
  }
  for (const entry of nullified) entry.nullified = true
  const createdAt = laterThan(head?.createdAt, now(state))
  state.entries.push({ did, operation, cid: cidOf(operation), nullified: false, createdAt })
  return { status: 200, text: 'OK' }
}

/** A stopped clock still orders the operations of one DID. */
function laterThan(last: Date | undefined, now: Date): Date {
  return last === undefined || last < now ? now : new Date(last.getTime() + 1)
}

function activeOf(state: State, did: string): Entry[] {
  return state.entries.filter((entry) => entry.did === did && !entry.nullified)
}

function now(state: State): Date {
  return state.clock ?? new Date()
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > BODY_LIMIT) throw new Refusal(413, 'request entity too large')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new Refusal(400, 'Unexpected token in JSON')
  }
}
