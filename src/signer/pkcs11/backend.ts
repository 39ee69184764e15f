import { formatDidKey } from '../../plc/did-key.ts'
import { requestDigest } from '../../plc/encode.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import type { Backend, PlaceHealth, PlaceState } from '../backend.ts'
import { SignerError } from '../signer.ts'
import type { Signer } from '../signer.ts'
import { createTokenClient } from './client.ts'
import type { TokenClient } from './client.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { Pkcs11Limits } from './limits.ts'
import { pinFromFile } from './pin-file.ts'
import type { PinSource } from './pin-file.ts'
import { describeKeyFault } from './protocol.ts'
import type { KeyState } from './protocol.ts'
import { parseKeyUri } from './uri.ts'
import type { KeyUri, TokenUri } from './uri.ts'

export type Pkcs11Options = {
  /** Where PIN latches lie; the same for everything on this host that logs in to these tokens. */
  readonly latchDir: string
  /** The environment that vendors' modules see. */
  readonly environment: NodeJS.ProcessEnv
  /** PIN file for URIs without `pin-source=`. */
  readonly pinFile: string | null
  readonly limits?: Partial<Pkcs11Limits>
  /** Each change of a token's state. */
  readonly report?: (token: string, state: PlaceState) => void
}

export type Pkcs11Backend = Backend & {
  /** Of the processes that hold the modules now. */
  childPids(): readonly number[]
}

type OpenToken = {
  readonly name: string
  readonly client: TokenClient
  readonly keys: Map<number, KeyConfig>
}

/** All PKCS#11 tokens of a service: one child process for each, shared by its keys. */
export function createPkcs11Backend(options: Pkcs11Options): Pkcs11Backend {
  const tokens = new Map<string, OpenToken>()

  function tokenOf(uri: KeyUri): OpenToken {
    const pinPath = uri.pinPath ?? options.pinFile
    const id = JSON.stringify([uri.modulePath, uri.token, pinPath])
    const known = tokens.get(id)
    if (known !== undefined) return known
    const name = uri.token.label ?? uri.token.serial ?? ''
    const client = createTokenClient({
      modulePath: uri.modulePath,
      token: uri.token,
      pin: pinOf(uri, options.pinFile),
      latchDir: options.latchDir,
      environment: options.environment,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      onState: (state) => options.report?.(name, state),
    })
    const token = { name, client, keys: new Map<number, KeyConfig>() }
    tokens.set(id, token)
    return token
  }

  async function release(token: OpenToken, ref: number): Promise<void> {
    token.client.removeKey(ref)
    if (!token.keys.delete(ref) || token.keys.size > 0) return
    for (const [id, known] of tokens) if (known === token) tokens.delete(id)
    await token.client.close()
  }

  async function openSigner(key: KeyConfig, keyUri: string): Promise<Signer> {
    const uri = uriOf(key, keyUri)
    const token = tokenOf(uri)
    const { client } = token
    const ref = client.addKey({ match: uri.key, curve: key.curve, did: key.did })
    token.keys.set(ref, key)
    await client.opened()
    const fault = await startFault(key, token, ref)
    if (fault !== null) {
      await release(token, ref)
      throw new SignerError('key-unusable', `key ${key.id}: ${fault}`)
    }
    return {
      sign: async (intent, signal) => {
        const signature = await client.sign(ref, requestDigest(intent.authorized.bytes), signal)
        return { signature, home: null, requestId: null }
      },
      check: async (signal) => {
        await untilAborted(client.check(), signal)
        const state = client.keyState(ref)
        if (state?.fault != null) throw new SignerError('key-unusable', faultText(key, state))
      },
      close: async () => await release(token, ref),
    }
  }

  return {
    openSigner,
    health: () => [...tokens.values()].map(healthOf),
    childPids: () => [...tokens.values()].flatMap(({ client }) => client.childPid() ?? []),
    close: async () => {
      const open = [...tokens.values()]
      tokens.clear()
      await Promise.all(open.map(async ({ client }) => await client.close()))
    },
  }
}

function uriOf({ id }: KeyConfig, uri: string): KeyUri {
  try {
    return parseKeyUri(uri)
  } catch (cause) {
    if (!(cause instanceof SignerError)) throw cause
    throw new SignerError('key-unusable', `keys.yaml: key ${id}: ${cause.message}`, { cause })
  }
}

/** What must stop a start: what will not change before a person changes it. */
async function startFault(key: KeyConfig, token: OpenToken, ref: number): Promise<string | null> {
  const { client } = token
  if (client.state().kind === 'unusable') return client.state().message
  // The second key of a token comes when its child is at work already; a look that was under way then
  // may not have been for it.
  for (let look = 0; look < 2 && client.keyState(ref) === null; look += 1) {
    await client.lookForKeys().catch(() => {})
  }
  const state = client.keyState(ref)
  return state?.fault == null ? null : faultText(key, state)
}

/** @throws SignerError when no file is named */
export function pinOf(uri: TokenUri, pinFile: string | null): PinSource {
  const path = uri.pinPath ?? pinFile
  if (path !== null) return pinFromFile(path)
  throw new SignerError(
    'key-unusable',
    'no PIN: name a file with pin-source=file:/PATH in the URI, or set HOLDFAST_PKCS11_PIN_FILE',
  )
}

function healthOf({ name, client, keys }: OpenToken): PlaceHealth {
  const faults = [...keys].flatMap(([ref, key]) => {
    const state = client.keyState(ref)
    return state?.fault == null ? [] : [[key.id, faultText(key, state)] as const]
  })
  return { place: name, state: client.state(), keys: Object.fromEntries(faults) }
}

function faultText(key: KeyConfig, { fault, point }: KeyState): string {
  if (fault === null) return 'ready'
  if (fault !== 'mismatch' || point === null) return describeKeyFault(fault)
  return `the token holds ${didOf(key, point)}, but keys.yaml pins ${key.did}`
}

function didOf(key: KeyConfig, point: Uint8Array): string {
  try {
    return formatDidKey(key.curve, point)
  } catch {
    return 'a point that is not on the curve'
  }
}

async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>()
  const abort = () =>
    aborted.reject(new SignerError('unavailable', 'the token has not answered yet'))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
