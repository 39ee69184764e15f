import { openPrivateKey } from '../../../src/ecdsa/private-key.ts'
import { normaliseS } from '../../../src/ecdsa/release.ts'
import type { RecoveryKeyRecord } from '../../../src/ceremony/recovery-key.ts'
import { curveOf } from '../../../src/plc/did-key.ts'
import type { DerivedOperation } from '../../../src/recovery/derive.ts'
import type { ApprovedIntent } from '../../../src/recovery/trusted.ts'
import { createTokenClient } from '../../../src/signer/pkcs11/client.ts'
import { moduleEnvironment } from '../../../src/signer/pkcs11/environment.ts'
import { DEFAULT_LIMITS } from '../../../src/signer/pkcs11/limits.ts'
import { describeKeyFault } from '../../../src/signer/pkcs11/protocol.ts'
import { pinFromFile } from '../../../src/signer/pkcs11/pin-file.ts'
import { parseKeyUri } from '../../../src/signer/pkcs11/uri.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import { Refusal } from '../command.ts'
import { latchDir } from '../keys/latches.ts'
import { openSecret } from '../keys/sources.ts'
import type { Sources } from '../keys/sources.ts'
import { askPin } from '../keys/token.ts'
import type { Terminal } from '../terminal.ts'

/** The recovery key, opened for one approved intent. */
export type SigningKey = {
  /** Whether the same operation always gets the same signature; a token draws its nonces at random. */
  readonly isDeterministic: boolean
  /** r‖s, low-S, of each, in order; not verified yet. */
  sign(derived: readonly DerivedOperation[]): Promise<readonly Uint8Array[]>
  close(): Promise<void>
}

/** Where the key is, and what opens it. */
export type Opening = {
  readonly record: RecoveryKeyRecord
  /** Of a key in software; null: it is on the token that its record names. */
  readonly sources: Sources | null
  readonly environment: NodeJS.ProcessEnv
  readonly terminal: Terminal
}

/** A token may be pulled and plugged in again; but not waited for for ever. */
const SIGN_DEADLINE_MS = 60_000

/**
 * Opens the key that the record says, and only for an intent that is approved and names it.
 * @throws Refusal, SignerError, ShareError
 */
export async function openSigningKey(
  { trusted: { intent } }: ApprovedIntent,
  opening: Opening,
): Promise<SigningKey> {
  const { record, sources } = opening
  if (record.did !== intent.recovery || record.env !== intent.env) {
    throw new Refusal(
      `the record is of ${record.did} for ${record.env}; the intent is for ${intent.recovery}, ${intent.env}`,
    )
  }
  if (record.source.kind !== 'token') {
    if (sources === null) throw new Refusal('the key is in software: name its file or its shares')
    return await openSoftware(record, sources, opening.terminal)
  }
  if (sources !== null) throw new Refusal('the key is on a token: neither file nor shares open it')
  return await openOnToken(record, record.source.uri, opening)
}

async function openSoftware(
  record: RecoveryKeyRecord,
  sources: Sources,
  terminal: Terminal,
): Promise<SigningKey> {
  const secret = await openSecret(sources, record, terminal)
  const key = await openPrivateKey(record.curve, secret).finally(() => secret.fill(0))
  return {
    isDeterministic: true,
    sign: async (derived) => {
      const signatures: Uint8Array[] = []
      for (const { bytes } of derived) signatures.push(await key.sign(bytes))
      return signatures
    },
    close: async () => key.clear(),
  }
}

async function openOnToken(
  { did }: RecoveryKeyRecord,
  keyUri: string,
  { environment, terminal }: Opening,
): Promise<SigningKey> {
  const uri = parseKeyUri(keyUri)
  const curve = curveOf(did)
  const { pin, forget } =
    uri.pinPath === null
      ? askPin(uri.token.label ?? uri.token.serial ?? '', terminal)
      : { pin: pinFromFile(uri.pinPath), forget: () => {} }
  const client = createTokenClient({
    modulePath: uri.modulePath,
    token: uri.token,
    pin,
    latchDir: latchDir(),
    environment: moduleEnvironment(environment),
    limits: DEFAULT_LIMITS,
    onState: () => {},
  })
  const ref = client.addKey({ match: uri.key, curve, did })
  const close = async () => {
    await client.close()
    forget()
  }
  try {
    await client.opened()
    if (client.state().kind !== 'ready') {
      throw new SignerError('unavailable', `the token: ${client.state().message}`)
    }
    if (client.keyState(ref) === null) await client.lookForKeys()
    const fault = client.keyState(ref)?.fault ?? null
    if (fault !== null) throw new Refusal(`the token: ${describeKeyFault(fault)}`)
  } catch (error) {
    await close()
    throw error
  }
  return {
    isDeterministic: false,
    sign: async (derived) =>
      await Promise.all(
        derived.map(async ({ digest }) => {
          const signal = AbortSignal.timeout(SIGN_DEADLINE_MS)
          return normaliseS(curve, await client.sign(ref, digest, signal))
        }),
      ),
    close,
  }
}
