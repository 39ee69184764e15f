import { createECDH, createPublicKey, randomBytes, verify } from 'node:crypto'
import { formatDidKey, uncompressedPoint } from '../../plc/did-key.ts'
import type { Curve } from '../../plc/did-key.ts'
import { SignerError } from '../signer.ts'
import type { KeyFacts } from './admin-protocol.ts'
import { NONCE_BYTES, probeMessage } from './probe.ts'
import { runCommand } from './run-command.ts'
import type { TokenAccess } from './run-command.ts'
import { formatKeyUri } from './uri.ts'
import type { KeyMatch } from './uri.ts'

/** A private key on a token. `did` is null where the token shows no public key for it. */
export type TokenKey = {
  readonly did: string | null
  /** For `keys.yaml`; null for a key with neither label nor id. */
  readonly uri: string | null
  readonly facts: KeyFacts
}

/** `problems` keep the key from being used; `remarks` are for the person who decides. */
export type KeyReport = {
  readonly key: TokenKey | null
  readonly problems: readonly string[]
  readonly remarks: readonly string[]
}

const CURVES: Record<Curve, string> = { 'K-256': 'secp256k1', 'P-256': 'prime256v1' }
const JWK_CURVES: Record<Curve, string> = { 'K-256': 'secp256k1', 'P-256': 'P-256' }

/**
 * Makes a key in the token: sensitive, not extractable, for signing only.
 * @returns null when the label is taken; the key that has it is left as it is
 * @throws SignerError
 */
export async function createKey(
  access: TokenAccess,
  key: { readonly label: string; readonly curve: Curve },
): Promise<TokenKey | null> {
  const id = randomBytes(16)
  const { keys } = await runCommand(access, { kind: 'create', ...key, id })
  return keys[0] === undefined ? null : tokenKey(access, keys[0])
}

/**
 * Stores a private key that exists elsewhere, with the attributes of one made here. The token cannot
 * know who else has a copy.
 * @param key.secret 32 bytes; the caller wipes its own copy
 * @returns null when the label is taken
 * @throws SignerError
 */
export async function importKey(
  access: TokenAccess,
  key: { readonly label: string; readonly curve: Curve; readonly secret: Uint8Array },
): Promise<TokenKey | null> {
  const point = pointOfSecret(key.curve, key.secret)
  const id = randomBytes(16)
  const { keys } = await runCommand(access, { kind: 'import', ...key, id, point })
  return keys[0] === undefined ? null : tokenKey(access, keys[0])
}

/** Every private key on the token, of whatever kind. @throws SignerError */
export async function listKeys(access: TokenAccess): Promise<TokenKey[]> {
  const { keys } = await runCommand(access, { kind: 'list' })
  return keys.map((facts) => tokenKey(access, facts))
}

/**
 * Whether a key is the pinned one, guarded as it should be, and there: it signs a random message of
 * its own kind, which can never be a PLC operation. Uses the key, so the caller records it.
 * @throws SignerError when the token cannot be asked
 */
export async function checkKey(
  access: TokenAccess,
  pinned: { readonly match: KeyMatch; readonly curve: Curve; readonly did: string },
): Promise<KeyReport> {
  const nonce = randomBytes(NONCE_BYTES)
  const { match } = pinned
  const { keys, signature } = await runCommand(access, { kind: 'prove', match, nonce })
  const [facts, another] = keys
  if (facts === undefined) return report(null, ['no private key has that label and id'])
  if (another !== undefined) return report(null, [`${keys.length} keys have that label and id`])
  const key = tokenKey(access, facts)
  const problems = problemsOf(facts)
  if (key.did !== pinned.did) {
    problems.push(`the token shows ${key.did ?? 'no public key'}, but ${pinned.did} is pinned`)
  }
  if (signature === null || !isProof(pinned, nonce, signature)) {
    problems.push('it did not sign as the pinned key')
  }
  return report(key, problems, remarksOf(facts))
}

function report(
  key: TokenKey | null,
  problems: readonly string[],
  remarks: readonly string[] = [],
): KeyReport {
  return { key, problems, remarks }
}

function problemsOf(facts: KeyFacts): string[] {
  const checks: [boolean, string][] = [
    [facts.sign === true, 'CKA_SIGN is not true: it may not sign'],
    [facts.sensitive === true, 'CKA_SENSITIVE is not true: it can be read in the clear'],
    [facts.extractable === false, 'CKA_EXTRACTABLE is not false: it can be taken out'],
    [facts.alwaysAuthenticate !== true, 'CKA_ALWAYS_AUTHENTICATE: wants a PIN per signature'],
    [facts.private === true, 'CKA_PRIVATE is not true: it can be used without the PIN'],
  ]
  return checks.flatMap(([holds, problem]) => (holds ? [] : [problem]))
}

function remarksOf(facts: KeyFacts): string[] {
  const remarks: [boolean, string][] = [
    [facts.local !== true, 'it was not made in this token: somebody else may have a copy'],
    [facts.alwaysSensitive !== true, 'it was not always sensitive: it may have been read before'],
    [facts.neverExtractable !== true, 'it was extractable once, or came from outside'],
    [facts.decrypt === true, 'CKA_DECRYPT: it may decrypt, which it never has to'],
    [facts.unwrap === true, 'CKA_UNWRAP: it may unwrap keys, which it never has to'],
    [facts.derive === true, 'CKA_DERIVE: it may derive secrets, which it never has to'],
  ]
  return remarks.flatMap(([applies, remark]) => (applies ? [remark] : []))
}

function isProof(
  { curve, did }: { curve: Curve; did: string },
  nonce: Uint8Array,
  signature: Uint8Array,
): boolean {
  const point = Buffer.from(uncompressedPoint(did)).toString('hex')
  const half = (from: number) =>
    Buffer.from(point.slice(from, from + 64), 'hex').toString('base64url')
  const jwk = { kty: 'EC', crv: JWK_CURVES[curve], x: half(2), y: half(66) }
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  return verify('sha256', probeMessage(nonce), { key, dsaEncoding: 'ieee-p1363' }, signature)
}

function tokenKey({ uri }: TokenAccess, facts: KeyFacts): TokenKey {
  const label = facts.label === '' ? null : facts.label
  const id = facts.id.length === 0 ? null : facts.id
  const isNamed = label !== null || id !== null
  return {
    did: didOf(facts),
    uri: isNamed ? formatKeyUri({ ...uri, key: { label, id } }) : null,
    facts,
  }
}

function didOf({ curve, point }: KeyFacts): string | null {
  if (curve === null || point === null) return null
  try {
    return formatDidKey(curve, point)
  } catch {
    return null
  }
}

function pointOfSecret(curve: Curve, secret: Uint8Array): Uint8Array {
  if (secret.length !== 32) throw new SignerError('key-unusable', 'a private key has 32 bytes')
  const ecdh = createECDH(CURVES[curve])
  try {
    ecdh.setPrivateKey(secret)
    return ecdh.getPublicKey()
  } catch (cause) {
    throw new SignerError('key-unusable', `not a private key of ${curve}`, { cause })
  }
}
