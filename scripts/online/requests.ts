import { createReadStream } from 'node:fs'
import { parseArgs } from 'node:util'
import type { ApprovalView, Proposal, RequestView } from '../../src/api/request.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import { requestStates } from '../../src/custody/request.ts'
import type { RequestState } from '../../src/custody/request.ts'
import { UsageError, print, printJson } from './command.ts'
import type { Command } from './command.ts'
import { officerKeyOptions, officerKeyUsage, speakUsage } from './officers/options.ts'
import type { Verb as OfficersVerb } from './officers/options.ts'
import { parseGoatOperation, renderGoatOperation } from './goat.ts'
import { openClient, reportRefusal } from './service-client.ts'

const usage =
  'requests list [--state STATE] [--cursor ID] [--limit N] | requests show ID [--operation] | ' +
  'requests propose --key ID --from-file FILE | requests propose --again ID | requests sign|submit|cancel ID   (each with [--url URL])\n' +
  `For officers: requests list|show|propose|sign|submit … (${officerKeyUsage}) |\n${speakUsage}`

/** The service takes no more in one body. */
const MAX_FILE_BYTES = 64 * 1024

const options = {
  url: { type: 'string' },
  json: { type: 'boolean', default: false },
  state: { type: 'string' },
  cursor: { type: 'string' },
  limit: { type: 'string' },
  operation: { type: 'boolean', default: false },
  key: { type: 'string' },
  'from-file': { type: 'string' },
  again: { type: 'string' },
  ...officerKeyOptions,
} as const

const officerNames = Object.keys(officerKeyOptions) as (keyof typeof officerKeyOptions)[]

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']
type Call = { readonly client: HoldfastClient; readonly values: Values; readonly id: string }
type Verb = {
  /** Beside `--url` and `--json`. */
  readonly options: readonly (keyof typeof options)[]
  readonly takesId: boolean
  readonly run: (call: Call) => Promise<number>
}

const verbs: Readonly<Record<string, Verb>> = {
  list: { options: ['state', 'cursor', 'limit', ...officerNames], takesId: false, run: list },
  show: { options: ['operation', ...officerNames], takesId: true, run: show },
  propose: {
    options: ['key', 'from-file', 'again', ...officerNames],
    takesId: false,
    run: propose,
  },
  sign: { options: ['operation', ...officerNames], takesId: true, run: sign },
  submit: { options: [...officerNames], takesId: true, run: submit },
  cancel: { options: [], takesId: true, run: cancel },
}

/**
 * Requests of one caller, through the service's API: it has the keys, and judges as for any other. An
 * officer's, with the officer's own key, are those that officers were asked about.
 */
export const requests: Command = async ([name = '', ...args]) => {
  const spoken = officersVerb(name, args)
  if (spoken !== null) return await (await import('./officers/speak.ts')).speak(spoken, args)
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  if (verb === undefined) throw new UsageError(usage)
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [id = '', extra] = positionals
  const allowed = ['url', 'json', ...verb.options]
  const given = parseArgs({ args, options, allowPositionals: true, tokens: true }).tokens
  const foreign = given.some((token) => token.kind === 'option' && !allowed.includes(token.name))
  if (foreign || extra !== undefined || (id !== '') !== verb.takesId) {
    throw new UsageError(usage)
  }
  const run = async (client: HoldfastClient) => await verb.run({ client, values, id })
  try {
    return await withClient(values, run)
  } catch (error) {
    return reportRefusal(error, values.json)
  }
}

/** A caller takes back its own request with a token; an officer ends any one with their own key. */
function officersVerb(name: string, args: readonly string[]): OfficersVerb | null {
  if (name === 'approve' || name === 'reject') return name
  const isOfficer = args.some((arg) => /^--(key-file|token)(=|$)/.test(arg))
  return name === 'cancel' && isOfficer ? 'cancel' : null
}

async function withClient<T>(
  values: Values,
  use: (client: HoldfastClient) => Promise<T>,
): Promise<T> {
  if (officerNames.every((name) => values[name] === undefined)) {
    return await use(await openClient(values.url))
  }
  // Tokens, age and signed calls are loaded for officers alone.
  const { asOfficer } = await import('./officers/as-officer.ts')
  return await asOfficer(values, usage, use)
}

async function list({ client, values }: Call): Promise<number> {
  const { state, cursor, limit } = values
  const page = await client.listRequests({
    ...(state === undefined ? {} : { state: toState(state) }),
    ...(cursor === undefined ? {} : { cursor }),
    ...(limit === undefined ? {} : { limit: Number(limit) }),
  })
  if (values.json) printJson(page)
  else {
    for (const request of page.requests) print(summary(request))
    if (page.cursor !== null) print(`More: --cursor ${page.cursor}`)
  }
  return 0
}

function toState(text: string): RequestState {
  const state = requestStates.find((known) => known === text)
  if (state !== undefined) return state
  throw new UsageError(`${usage}\nSTATE is one of ${requestStates.join(', ')}`)
}

function summary({ id, state, class: kind, did, createdAt }: RequestView): string {
  return `${id}  ${state.padEnd(10)}  ${kind.padEnd(15)}  ${did ?? '-'.padEnd(32)}  ${createdAt}`
}

async function show({ client, values, id }: Call): Promise<number> {
  const request = await client.readRequest(id)
  return values.operation ? printOperation(request) : printRequest(request, values)
}

async function propose({ client, values }: Call): Promise<number> {
  const { key, 'from-file': file, again } = values
  if (again !== undefined) {
    if (key !== undefined || file !== undefined) throw new UsageError(usage)
    return printRequest(await proposeAgain(client, again), values)
  }
  if (key === undefined || file === undefined) throw new UsageError(usage)
  const operation = parseGoatOperation(await readText(file), file)
  // The service judges its shape, and says what is wrong with it.
  const request = await client.propose({ key, operation } as Proposal)
  return printRequest(request, values)
}

/** The same bytes once more: after a rejection a person may ask for them, who then does not approve. */
async function proposeAgain(client: HoldfastClient, id: string): Promise<RequestView> {
  const { key, operation } = await client.readRequest(id)
  return await client.propose({ key, operation })
}

async function readText(file: string): Promise<string> {
  try {
    const chunks: Buffer[] = []
    let size = 0
    const stream = file === '-' ? createReadStream('', { fd: 0 }) : createReadStream(file)
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_FILE_BYTES) throw new RangeError(`more than ${MAX_FILE_BYTES} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${usage}\ncannot read ${file}: ${reason}`)
  }
}

async function sign({ client, values, id }: Call): Promise<number> {
  const request = await client.sign(id)
  if (request.signature === null) {
    printRequest(request, values)
    const waits = request.state === 'proposed' ? 'approval' : 'the key'
    process.stderr.write(`there is no signature yet: it waits for ${waits}\n`)
    return 1
  }
  return values.operation ? printOperation(request) : printRequest(request, values)
}

async function submit({ client, values, id }: Call): Promise<number> {
  const request = await client.submit(id)
  printRequest(request, values)
  if (request.state === 'confirmed' || request.state === 'submitted') return 0
  return request.submission?.outcome === 'refused' ? 1 : 3
}

async function cancel({ client, values, id }: Call): Promise<number> {
  return printRequest(await client.cancel(id), values)
}

/** As goat's `plc sign` prints it, so that goat's `plc submit` takes it. */
function printOperation({ id, state, signedOperation }: RequestView): number {
  if (signedOperation === null) {
    process.stderr.write(`request ${id} is ${state}: it has no signature to show\n`)
    return 1
  }
  print(renderGoatOperation(signedOperation))
  return 0
}

function printRequest(request: RequestView, { json }: Pick<Values, 'json'>): number {
  if (json) printJson(request)
  else print(describe(request))
  return 0
}

function describe(request: RequestView): string {
  const { submission } = request
  const words = submission?.message ?? ''
  const sent = `${submission?.outcome} ${submission?.status ?? ''} ${words}`.trim()
  return [
    `request: ${request.id}`,
    `state: ${request.state}`,
    `decision: ${request.decision}`,
    `key: ${request.key}`,
    `did: ${request.did ?? 'none before it is signed'}`,
    ...(request.cid === null ? [] : [`cid: ${request.cid}`]),
    ...(submission === null ? [] : [`directory: ${sent}`]),
    ...(request.approval === null ? [] : describeApproval(request.approval)),
    request.rendering.trimEnd(),
  ].join('\n')
}

function describeApproval({ standing, until, missing, said, words }: ApprovalView): string[] {
  return [
    `officers: ${standing}`,
    ...said.map(({ person, decision }) => `  ${person}: ${decision}`),
    ...missing.map((lack) => `  still missing: ${lack}`),
    ...(until === null ? [] : [`  can be signed from: ${new Date(until * 1000).toISOString()}`]),
    `words: ${words}`,
  ]
}
