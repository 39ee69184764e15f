import type { Curve } from '../../plc/did-key.ts'
import { SignerError } from '../signer.ts'
import { listKeys } from './admin.ts'
import type { TokenKey } from './admin.ts'
import { createTokenClient } from './client.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { TokenAccess } from './run-command.ts'
import type { KeyMatch } from './uri.ts'

/** A person's own key on their own token: no service's key. */
export type OwnKey = {
  readonly did: string
  readonly curve: Curve
  /** r‖s over a digest of 32 bytes, S as the token gave it. @throws SignerError */
  sign(digest: Uint8Array): Promise<Uint8Array>
  close(): Promise<void>
}

// A person may have to touch the token.
const TOUCH_MS = 60_000

/**
 * One look at what is there, then one session for all signatures.
 * @throws SignerError
 */
export async function openOwnKey(access: TokenAccess, match: KeyMatch): Promise<OwnKey> {
  const { did, curve } = onlyOne((await listKeys(access)).filter((key) => isMatch(key, match)))
  const { token, modulePath } = access.uri
  const { pin, latchDir, environment } = access
  const limits = { ...DEFAULT_LIMITS, callMs: TOUCH_MS }
  const onState = () => {}
  const client = createTokenClient({
    modulePath,
    token,
    pin,
    latchDir,
    environment,
    limits,
    onState,
  })
  const ref = client.addKey({ match, curve, did })
  await client.opened()
  const { kind, message } = client.state()
  if (kind !== 'ready' || client.keyState(ref)?.fault !== null) {
    await client.close()
    throw new SignerError('unavailable', `the token cannot sign with this key: ${message}`)
  }
  const sign = async (digest: Uint8Array) =>
    await client.sign(ref, digest, AbortSignal.timeout(TOUCH_MS))
  return { did, curve, sign, close: async () => await client.close() }
}

function isMatch({ facts }: TokenKey, { label, id }: KeyMatch): boolean {
  return (
    (label === null || label === facts.label) && (id === null || Buffer.compare(id, facts.id) === 0)
  )
}

function onlyOne([key, another]: readonly TokenKey[]): { did: string; curve: Curve } {
  if (key === undefined || another !== undefined) {
    const many = key === undefined ? 'no private key' : 'more than one private key'
    throw new SignerError('key-unusable', `the token has ${many} with that label and id`)
  }
  const { did } = key
  const { curve } = key.facts
  if (did !== null && curve !== null) return { did, curve }
  throw new SignerError('key-unusable', 'the token shows no P-256 or K-256 public key for it')
}
