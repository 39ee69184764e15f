import { setTimeout as sleep } from 'node:timers/promises'
import { derToCompact } from '../../ecdsa/der.ts'
import { EcdsaError } from '../../ecdsa/error.ts'
import { requestDigest } from '../../plc/encode.ts'
import type { EcdsaVerify } from '../../plc/signature.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import { verifyForRelease } from '../release.ts'
import { SignerError } from '../signer.ts'
import type { CommittedIntent, KeyUse, Signer } from '../signer.ts'
import type { Backend, PlaceHealth, PlaceState } from '../backend.ts'
import { createKmsClient } from './client.ts'
import type { KmsClient } from './client.ts'
import type { KmsFault } from './fault.ts'
import { problemOf } from './key-check.ts'
import { createKeyStates } from './key-state.ts'
import type { KeyState, KeyStates } from './key-state.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { AwsKmsLimits } from './limits.ts'
import { createPace } from './pace.ts'
import type { Pace } from './pace.ts'
import { tryUntil } from './tries.ts'
import { parseAwsKmsUri } from './uri.ts'

export type AwsKmsOptions = {
  /** The backend verifies what it gets, so that it can stop using a key by itself. */
  readonly verify: EcdsaVerify
  readonly limits?: Partial<AwsKmsLimits>
  /** Each change of a key's state, by the name of its place. */
  readonly report?: (place: string, state: PlaceState) => void
}

type Place = { readonly client: KmsClient; readonly pace: Pace }

type OpenKey = {
  readonly key: KeyConfig
  readonly arn: string
  readonly region: string
  readonly place: Place
  readonly states: KeyStates
  readonly verify: EcdsaVerify
  readonly limits: AwsKmsLimits
  readonly alarm: Alarm
}

/**
 * All keys of a service in AWS KMS. Keys of one endpoint share its connections and its rate, but each
 * is a place of its own to operators: one may be disabled while the next one signs.
 */
export function createAwsKmsBackend(options: AwsKmsOptions): Backend {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const places = new Map<string, Place>()
  const opened = new Map<OpenKey, AbortController>()

  function placeOf(uri: ReturnType<typeof parseAwsKmsUri>): Place {
    const id = JSON.stringify([uri.endpoint, uri.region, uri.rate])
    const known = places.get(id)
    if (known !== undefined) return known
    const pace = createPace({ perSecond: uri.rate, places: limits.sockets })
    const place = { client: createKmsClient(uri, limits), pace }
    places.set(id, place)
    return place
  }

  async function openSigner(key: KeyConfig, keyUri: string): Promise<Signer> {
    const uri = uriOf(key, keyUri)
    const alarm = createAlarm()
    const states = createKeyStates((state) => {
      options.report?.(nameOf(key, uri.region), placeState(state))
      if (state.kind !== 'ready') alarm.ring()
    })
    const place = placeOf(uri)
    const open: OpenKey = {
      key,
      arn: uri.arn,
      region: uri.region,
      place,
      states,
      verify: options.verify,
      limits,
      alarm,
    }
    await look(open)
    const { kind, message } = states.current()
    if (kind === 'unfit' || kind === 'distrusted') {
      throw new SignerError('key-unusable', `key ${key.id}: ${message}`)
    }
    const ending = new AbortController()
    opened.set(open, ending)
    void keepLooking(open, ending.signal)
    return {
      sign: async (intent, signal) => await sign(open, intent, signal),
      check: async () => requireReady(open),
      close: async () => {
        ending.abort()
        opened.delete(open)
      },
    }
  }

  return {
    openSigner,
    health: () => [...opened.keys()].map(healthOf),
    close: async () => {
      for (const ending of opened.values()) ending.abort()
      opened.clear()
      for (const { client } of places.values()) client.close()
      places.clear()
    },
  }
}

function uriOf({ id }: KeyConfig, uri: string): ReturnType<typeof parseAwsKmsUri> {
  try {
    return parseAwsKmsUri(uri)
  } catch (cause) {
    if (!(cause instanceof SignerError)) throw cause
    throw new SignerError('key-unusable', `keys.yaml: key ${id}: ${cause.message}`, { cause })
  }
}

const nameOf = ({ id }: KeyConfig, region: string) => `${id} in AWS KMS ${region}`

function healthOf({ key, region, states }: OpenKey): PlaceHealth {
  const state = states.current()
  const keys = state.kind === 'distrusted' ? { [key.id]: state.message } : {}
  return { place: nameOf(key, region), state: placeState(state), keys }
}

/** In the words that all places share. One that is distrusted waits for a person as one that is unfit. */
function placeState({ kind, message, since }: KeyState): PlaceState {
  const kinds = {
    ready: 'ready',
    unchecked: 'reconnecting',
    away: 'reconnecting',
    unfit: 'unusable',
    distrusted: 'unusable',
  } as const
  return { kind: kinds[kind], since, message, serial: null }
}

async function sign(open: OpenKey, intent: CommittedIntent, signal: AbortSignal): Promise<KeyUse> {
  const { states, limits } = open
  // One that is `unfit` or `away` may be well again, and this call finds out.
  if (states.current().kind === 'unchecked' || states.current().kind === 'distrusted') {
    requireReady(open)
  }
  const until = performance.now() + limits.signMs
  const report = (fault: KmsFault) => {
    // Whoever gives up on us says nothing about the key.
    if (!signal.aborted) noteFault(states, fault)
  }
  const digest = requestDigest(intent.authorized.bytes)
  const use = await tryUntil({ until, signal, report }, async () =>
    signOnce(open, digest, { until, signal }),
  )
  await verifyOrStop(open, intent, use)
  states.signed()
  return use
}

/** One call. @throws KmsFault; SignerError `signature-invalid` */
async function signOnce(
  { key, arn, place, states }: OpenKey,
  digest: Uint8Array,
  { until, signal }: { readonly until: number; readonly signal: AbortSignal },
): Promise<KeyUse> {
  const left = () => Math.max(1, Math.ceil(until - performance.now()))
  const leave = await place.pace.enter(left(), signal)
  try {
    const answer = await place.client.sign(
      arn,
      digest,
      AbortSignal.any([signal, AbortSignal.timeout(left())]),
    )
    if (answer.arn !== arn) throw wrong(states, `key ${key.id}: ${answer.arn} signed instead`)
    return { signature: toCompact(states, answer.der), home: null, requestId: answer.requestId }
  } finally {
    leave()
  }
}

function toCompact(states: KeyStates, der: Uint8Array): Uint8Array {
  try {
    return derToCompact(der)
  } catch (error) {
    if (!(error instanceof EcdsaError)) throw error
    throw wrong(states, `AWS KMS returned ${der.length} bytes that are ${error.message}`)
  }
}

/** The gate of every backend once more, before its turn: here a failure has consequences for the key. */
async function verifyOrStop(
  { states, verify }: OpenKey,
  intent: CommittedIntent,
  use: KeyUse,
): Promise<void> {
  try {
    await verifyForRelease(intent, use, verify)
  } catch (error) {
    if (error instanceof SignerError) states.signedWrongly(error.message)
    throw error
  }
}

function wrong(states: KeyStates, message: string): SignerError {
  states.signedWrongly(message)
  return new SignerError('signature-invalid', message)
}

/** Throttling is no fault of the key's, and says that AWS KMS is there. */
function noteFault(states: KeyStates, { kind, message }: KmsFault): void {
  if (kind === 'throttled') return
  states.failed(kind === 'final' ? 'unfit' : 'away', message)
}

/** @throws SignerError unless the key can be used, as far as is known */
function requireReady({ key, states }: OpenKey): void {
  const { kind, message } = states.current()
  if (kind === 'ready') return
  const code = kind === 'unfit' || kind === 'distrusted' ? 'key-unusable' : 'unavailable'
  throw new SignerError(code, `key ${key.id}: ${message}`)
}

/** Asks what the key is. Never uses it. */
async function look({ key, arn, place, states, limits }: OpenKey): Promise<void> {
  const until = performance.now() + limits.checkMs
  const report = (fault: KmsFault) => noteFault(states, fault)
  try {
    const described = await tryUntil({ until, signal: NEVER, report }, async () => {
      await place.client.checkCredentials()
      return await place.client.describe(arn)
    })
    const problem = problemOf(key, arn, described)
    if (problem === null) states.looksRight()
    else if (problem.kind === 'other-key') states.isOther(problem.message)
    else states.failed('unfit', problem.message)
  } catch (error) {
    // It is in the key's state already.
    if (!(error instanceof SignerError)) throw error
  }
}

const NEVER = new AbortController().signal

/** What is ready is looked at now and then; what is not, soon, and for as long as it is not. */
async function keepLooking(open: OpenKey, ended: AbortSignal): Promise<void> {
  const { states, limits, alarm } = open
  const isReady = () => states.current().kind === 'ready'
  while (!ended.aborted) {
    if (isReady()) await alarm.sleep(jittered(limits.checkEveryMs), ended)
    if (!isReady()) await pause(jittered(limits.recheckEveryMs), ended)
    // What nobody foresaw must not end the looking.
    if (!ended.aborted) await look(open).catch((error) => states.failed('away', String(error)))
  }
}

/** Keys and instances that started together do not ask together. */
const jittered = (ms: number) => ms * (0.75 + Math.random() / 2)

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined)
}

type Alarm = ReturnType<typeof createAlarm>

/** A sleep that a key's trouble ends. */
function createAlarm() {
  let sleeping = new AbortController()
  return {
    ring: () => sleeping.abort(),
    async sleep(ms: number, ended: AbortSignal): Promise<void> {
      sleeping = new AbortController()
      await pause(ms, AbortSignal.any([ended, sleeping.signal]))
    },
  }
}
