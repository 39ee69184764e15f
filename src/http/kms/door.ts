import { Hono } from 'hono'
import type { Context } from 'hono'
import { AuthenticationError } from '../authentication-error.ts'
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
import { parseKmsCall, readsPublicKey } from './parse.ts'

export type KmsDoorDeps = ActionDeps & {
  readonly findCredential: FindCredential
  /** Credentials in force when the service starts: known even if the database then goes away. */
  readonly initialCredentials: readonly Credential[]
  readonly log: HttpLog
  readonly now: () => Date
  readonly gates: { readonly lookUp: Gate; readonly sign: Gate }
}

const LAST_KNOWN_LIMIT = 1024

/** The AWS KMS wire protocol, JSON 1.1, at `POST /kms`: what an unmodified PDS speaks. */
export function createKmsDoor(deps: KmsDoorDeps): Hono<HttpEnv> {
  const lastKnown = createLastKnown(deps.findCredential, deps.initialCredentials, LAST_KNOWN_LIMIT)
  const door = new Hono<HttpEnv>()
  // The SDK ends the path of its endpoint with a slash; people at a terminal do not.
  door.on('POST', ['/kms', '/kms/'], async (c) => {
    try {
      return respond(c, 200, await answer(c, deps, lastKnown))
    } catch (error) {
      return respondWithError(c, error, deps.log)
    }
  })
  return door
}

async function answer(
  c: Context<HttpEnv>,
  deps: KmsDoorDeps,
  lastKnown: LastKnown,
): Promise<object> {
  const request = await receive(c.env.incoming)
  const { caller } = await deps.gates.lookUp(() => authenticate(request, deps, lastKnown))
  c.var.facts.caller = caller
  const call = parseKmsCall(request)
  c.var.facts.action = call.action
  return gated(call, deps, () => answerKmsCall(call, caller, deps))
}

async function authenticate(
  request: Received,
  { now, log }: KmsDoorDeps,
  lastKnown: LastKnown,
): Promise<Credential> {
  const verify = (findCredential: FindCredential): Promise<Credential> =>
    verifySigV4(request, { findCredential, service: 'kms', now: now() })
  try {
    const credential = await verify(lastKnown.find)
    lastKnown.remember(credential)
    return credential
  } catch (error) {
    if (error instanceof AuthenticationError || !readsPublicKey(request)) throw error
    // Whoever does not verify now gets our failure, known or not: "wrong" would tell the known ones apart.
    const credential = await verify(lastKnown.recall).catch(() => {
      throw error
    })
    log.warn({ err: error, caller: credential.caller }, 'kms: no credential look-up, last known')
    return credential
  }
}

/** Public keys come from memory and pass by a queue of signatures: a PDS may need one to start. */
function gated<T>(call: KmsCall, { gates }: KmsDoorDeps, work: () => Promise<T>): Promise<T> {
  return call.action === 'Sign' ? gates.sign(work) : work()
}

function respondWithError(c: Context<HttpEnv>, error: unknown, log: HttpLog): Response {
  const { correlationId, facts } = c.var
  let known = toKmsError(error)
  if (known === null) {
    log.error({ err: error, correlationId, ...facts }, 'kms: our own failure')
    const message = `internal failure; the log has it under ${correlationId}`
    known = new KmsError('KMSInternalException', message)
  }
  facts.code = known.code
  return respond(c, statusOf(known.code), { __type: known.code, message: known.message })
}

function respond(c: Context<HttpEnv>, status: 200 | 400 | 500, body: object): Response {
  return c.body(JSON.stringify(body), status, {
    'content-type': 'application/x-amz-json-1.1',
    'x-amzn-requestid': c.var.correlationId,
  })
}
