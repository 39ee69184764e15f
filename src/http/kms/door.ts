import { Hono } from 'hono'
import type { Context } from 'hono'
import type { Credential, FindCredential } from '../credential.ts'
import type { HttpEnv, HttpLog } from '../env.ts'
import type { Gate } from '../gate.ts'
import type { Received } from '../received.ts'
import { receive } from '../received.ts'
import { verifySigV4 } from '../sigv4/verify.ts'
import type { ActionDeps } from './actions.ts'
import { answerKmsCall } from './actions.ts'
import { KmsError, statusOf, toKmsError } from './errors.ts'
import type { LastKnown } from './last-known.ts'
import { createLastKnown } from './last-known.ts'
import type { KmsCall } from './parse.ts'
import { parseKmsCall, targetOf } from './parse.ts'

export type KmsDoorDeps = ActionDeps & {
  readonly findCredential: FindCredential
  /** Credentials in force when the service starts: known even to a database that then goes away. */
  readonly initialCredentials: readonly Credential[]
  readonly log: HttpLog
  readonly now: () => Date
  readonly gates: { readonly lookUp: Gate; readonly sign: Gate }
}

const LAST_KNOWN_LIMIT = 1024

/** The AWS KMS wire protocol, JSON 1.1, at `POST /kms`: what an unmodified PDS speaks. */
export function createKmsDoor(deps: KmsDoorDeps): Hono<HttpEnv> {
  const { findCredential: find, initialCredentials: initial, log } = deps
  const lastKnown = createLastKnown({ find, initial, limit: LAST_KNOWN_LIMIT, log })
  const door = new Hono<HttpEnv>()
  // The SDK ends the path of its endpoint with a slash; people at a terminal do not.
  door.on('POST', ['/kms', '/kms/'], async (c) => {
    try {
      return respond(c, 200, await serve(c, deps, lastKnown))
    } catch (error) {
      return respondWithError(c, error, log)
    }
  })
  return door
}

async function serve(
  c: Context<HttpEnv>,
  deps: KmsDoorDeps,
  lastKnown: LastKnown,
): Promise<object> {
  const request = await receive(c.env.incoming)
  const { caller } = await deps.gates.lookUp(() => authenticate(request, deps.now(), lastKnown))
  c.var.facts.caller = caller
  const call = parseKmsCall(request)
  c.var.facts.action = call.action
  return gated(call, deps, () => answerKmsCall(call, caller, deps))
}

async function authenticate(
  request: Received,
  now: Date,
  lastKnown: LastKnown,
): Promise<Credential> {
  const target = targetOf(request)
  const readsOnly = target === 'GetPublicKey' || target === 'DescribeKey'
  const findCredential = readsOnly ? lastKnown.findOrLastKnown : lastKnown.find
  const credential = await verifySigV4(request, { findCredential, service: 'kms', now })
  lastKnown.remember(credential)
  return credential
}

/** Public keys come from memory and pass by a queue of signatures: a PDS may need one to start. */
function gated<T>(call: KmsCall, { gates }: KmsDoorDeps, work: () => Promise<T>): Promise<T> {
  return call.action === 'Sign' ? gates.sign(work) : work()
}

function respondWithError(c: Context<HttpEnv>, error: unknown, log: HttpLog): Response {
  const { correlationId, facts } = c.var
  let answer = toKmsError(error)
  if (answer === null) {
    log.error({ err: error, correlationId, ...facts }, 'kms: our own failure')
    const message = `internal failure; the log has it under ${correlationId}`
    answer = new KmsError('KMSInternalException', message)
  }
  facts.code = answer.code
  return respond(c, statusOf(answer.code), { __type: answer.code, message: answer.message })
}

function respond(c: Context<HttpEnv>, status: 200 | 400 | 500, body: object): Response {
  return c.body(JSON.stringify(body), status, {
    'content-type': 'application/x-amz-json-1.1',
    'x-amzn-requestid': c.var.correlationId,
  })
}
