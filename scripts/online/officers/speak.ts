import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { RequestView, SayingBody } from '../../../src/api/request.ts'
import { statementOf } from '../../../src/approval/matter.ts'
import type { Matter, Signatory } from '../../../src/approval/matter.ts'
import { encodeStatement, preimageOf } from '../../../src/approval/statement.ts'
import type { HoldfastClient } from '../../../src/client/client.ts'
import { NoAnswerError } from '../../../src/client/error.ts'
import { readEnv, toConfig } from '../../../src/config.ts'
import { DirectoryError } from '../../../src/directory/directory.ts'
import type { PlcDirectory } from '../../../src/directory/directory.ts'
import { createPlcDirectory } from '../../../src/directory/plc-http.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { readPolicySet } from '../../../src/policy-files.ts'
import { Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import type { Terminal } from '../../offline/terminal.ts'
import { UsageError, print, printJson } from '../command.ts'
import { withOfficerKey } from '../officer-key.ts'
import type { OfficerKey } from '../officer-key.ts'
import { policiesDir } from '../policies-dir.ts'
import { reportRefusal } from '../service-client.ts'
import { openOfficerClient } from './client.ts'
import { confirmWords } from './confirm.ts'
import { describeGrounds } from './describe.ts'
import { computeGrounds, directoryInFile, groundsToReject } from './grounds.ts'
import type { Grounds, Sources } from './grounds.ts'
import { officerKeyOptions, speakUsage } from './options.ts'
import type { Verb } from './options.ts'
import { displayWords, parseAskedView } from './review.ts'
import type { AskedView } from './review.ts'
import { ownerOf, requireCounts } from './signatory.ts'

const options = {
  ...officerKeyOptions,
  policies: { type: 'string' },
  'plc-url': { type: 'string' },
  log: { type: 'string' },
  confirm: { type: 'string' },
  url: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof options }>>['values']

type Call = {
  readonly verb: Verb
  readonly id: string
  readonly values: Values
  readonly key: OfficerKey
  readonly terminal: Terminal
}

/** An officer's word on a request, signed on the officer's own machine with the officer's own key. */
export async function speak(verb: Verb, args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [id, extra] = positionals
  if (id === undefined || extra !== undefined) throw new UsageError(speakUsage)
  if (values.log !== undefined && values['plc-url'] !== undefined) throw new UsageError(speakUsage)
  const terminal = openTerminal()
  try {
    return await withOfficerKey(values, { usage: speakUsage, terminal }, async (key) => {
      try {
        return await sayIt({ verb, id, values, key, terminal })
      } catch (error) {
        if (error instanceof DirectoryError) return reportDirectory(error)
        return reportRefusal(error, values.json)
      }
    })
  } finally {
    terminal.close()
  }
}

async function sayIt(call: Call): Promise<number> {
  const { verb, id, values, key, terminal } = call
  const { client, audience } = openOfficerClient(values.url, key)
  const view = parseAskedView(await client.readRequest(id))
  requireOpen(view, id)
  const policies = await readPolicySet(policiesDir(values.policies))
  if (policies.roster === null) throw new Refusal('your policy files have no roster.yaml')
  const owner = ownerOf(policies.roster, key.did, new Date())
  const sources = { policies, directory: directoryOf(values), audience, now: new Date() }
  const grounds = await groundsOf(call, { view, sources, person: owner.person })
  const decision = verb === 'approve' ? 'approve' : 'reject'
  // What a person reads goes to standard error, the result to standard output.
  process.stderr.write(`${describeGrounds({ view, grounds, signatory: { ...owner, decision } })}\n`)
  await confirmWords(displayWords(grounds.matter), values.confirm, terminal)
  const saying = await sign(key, grounds.matter, {
    ...owner,
    decision,
    role: 'officer',
    roster: grounds.roster,
    nonce: Uint8Array.from(randomBytes(16)),
    notBefore: Math.floor(Date.now() / 1000),
  })
  const after = await send(client, { verb, id, person: owner.person }, saying)
  report(call, { after, matter: grounds.matter, saying, person: owner.person })
  return 0
}

function requireOpen({ id, state }: AskedView, asked: string): void {
  if (id !== asked) throw new Refusal('id: the service answered with another request')
  if (state === 'proposed' || state === 'approved') return
  throw new Refusal(`request ${id} is ${state}: officers are not asked about it any more`)
}

function directoryOf({ log, 'plc-url': given }: Values): PlcDirectory {
  if (log !== undefined) return directoryInFile(log)
  const env = readEnv(given === undefined ? process.env : { HOLDFAST_PLC_URL: given })
  return createPlcDirectory(toConfig(env, process.cwd()).plcUrl)
}

async function groundsOf(
  { verb }: Call,
  { view, sources, person }: { view: AskedView; sources: Sources; person: string },
): Promise<Grounds> {
  if (verb !== 'approve') return await groundsToReject(view, sources)
  const grounds = await computeGrounds(view, sources)
  if (grounds.kind === 'computed') requireCounts(person, grounds.review, sources)
  return grounds
}

async function sign(key: OfficerKey, matter: Matter, signatory: Signatory): Promise<SayingBody> {
  const statement = encodeStatement(statementOf(matter, signatory))
  const signature = await key.sign(preimageOf(statement))
  return {
    statement: Buffer.from(statement).toString('base64'),
    evidence: {
      kind: 'did:key',
      did: key.did,
      signature: Buffer.from(signature).toString('base64url'),
    },
  }
}

/** When no answer comes, the service is asked whether it has the statement. */
async function send(
  client: HoldfastClient,
  { verb, id, person }: { verb: Verb; id: string; person: string },
  saying: SayingBody,
): Promise<RequestView> {
  try {
    return await client[verb](id, saying)
  } catch (error) {
    if (!(error instanceof NoAnswerError)) throw error
    const after = await client.readRequest(id).catch(() => null)
    if (after !== null && isKept(after, verb, person)) return after
    const message = `whether it was kept is unknown; look: scripts/holdfast requests show ${id}`
    throw new Error(message, { cause: error })
  }
}

function isKept({ state, approval }: RequestView, verb: Verb, person: string): boolean {
  if (verb !== 'approve') return state === 'rejected'
  return (approval?.said ?? []).some(
    (said) => said.person === person && said.decision === 'approve' && said.counts,
  )
}

function report(
  { verb, values }: Call,
  given: { after: RequestView; matter: Matter; saying: SayingBody; person: string },
): void {
  const { after, matter, saying, person } = given
  const { id, state, approval } = after
  const { standing = null, until = null, missing = [] } = approval ?? {}
  if (values.json) {
    const words = displayWords(matter).join(' ')
    printJson({ id, state, verb, person, words, standing, until, missing, saying })
    return
  }
  print(`${verb === 'approve' ? 'approved' : 'rejected'} by ${person}; the request is ${state}`)
  if (until !== null) print(`it can be signed from ${new Date(until * 1000).toISOString()} on`)
  for (const line of missing) print(`still missing: ${escapeText(line)}`)
}

function reportDirectory({ code, message }: DirectoryError): number {
  process.stderr.write(`${escapeText(message)}; nothing was signed\n`)
  return code === 'not-registered' || code === 'malformed' ? 1 : 3
}
