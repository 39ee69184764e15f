import { checkKey, createKey, listKeys } from '../../../src/signer/pkcs11/admin.ts'
import type { TokenKey } from '../../../src/signer/pkcs11/admin.ts'
import { moduleEnvironment } from '../../../src/signer/pkcs11/environment.ts'
import { LatchedError } from '../../../src/signer/pkcs11/login.ts'
import { pinFromFile } from '../../../src/signer/pkcs11/pin-file.ts'
import type { PinSource } from '../../../src/signer/pkcs11/pin-file.ts'
import { runCommand } from '../../../src/signer/pkcs11/run-command.ts'
import type { TokenAccess } from '../../../src/signer/pkcs11/run-command.ts'
import { parseKeyUri, parseTokenUri } from '../../../src/signer/pkcs11/uri.ts'
import type { KeyMatch, TokenUri } from '../../../src/signer/pkcs11/uri.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import type { Curve } from '../../../src/plc/did-key.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { Refusal } from '../command.ts'
import type { Terminal } from '../terminal.ts'
import type { Prove } from './possession.ts'

export type TokenOptions = {
  readonly uri: string
  /** Where PIN latches lie on this machine. */
  readonly latchDir: string
  readonly environment: NodeJS.ProcessEnv
  readonly terminal: Terminal
}

/** A token, for a few commands under one PIN; `close` forgets the PIN. */
export type OpenToken = { readonly access: TokenAccess; close(): void }

/** The PIN comes from the file that the URI names, or is asked for once. @throws SignerError */
export function openToken(options: TokenOptions): OpenToken {
  return openParsed(parseTokenUri(options.uri), options)
}

/** The key that a record names, to prove that it is there. @throws SignerError */
export function openRecordedToken(options: TokenOptions): { prove: Prove; close(): void } {
  const { key, ...uri } = parseKeyUri(options.uri)
  const token = openParsed(uri, options)
  const prove: Prove = async (challenge) => await proveWithToken(token, key, challenge)
  return { prove, close: () => token.close() }
}

function openParsed(parsed: TokenUri, options: TokenOptions): OpenToken {
  const { latchDir, environment, terminal } = options
  const { pin, forget } =
    parsed.pinPath === null
      ? askPin(parsed.token.label ?? parsed.token.serial ?? '', terminal)
      : { pin: pinFromFile(parsed.pinPath), forget: () => {} }
  const access = { uri: parsed, pin, latchDir, environment: moduleEnvironment(environment) }
  return { access, close: forget }
}

/** Asked for when the token wants it, and only once: a wrong one latches. */
export function askPin(token: string, terminal: Terminal): { pin: PinSource; forget: () => void } {
  let typed: Buffer | null = null
  return {
    pin: async () => {
      typed ??= await terminal.askSecret(`PIN of the token ${escapeText(token)} (one attempt)`)
      return { bytes: Uint8Array.from(typed), version: null }
    },
    forget: () => void typed?.fill(0),
  }
}

/** A new key of that label. @throws Refusal when the label is taken */
export async function makeTokenKey(
  { access }: OpenToken,
  key: { readonly label: string; readonly curve: Curve },
): Promise<TokenKey> {
  const made = await latched(createKey(access, key))
  if (made === null) {
    const label = escapeText(key.label)
    throw new Refusal(
      `a key ${label} is on the token already; --adopt writes the record of that one`,
    )
  }
  return made
}

/** A key that is on the token already. @throws Refusal */
export async function findTokenKey(
  { access }: OpenToken,
  { label, curve }: { readonly label: string; readonly curve: Curve },
): Promise<TokenKey> {
  const found = (await latched(listKeys(access))).filter(({ facts }) => facts.label === label)
  const [key, another] = found
  if (key === undefined || another !== undefined) {
    throw new Refusal(`${found.length} keys on the token are called ${escapeText(label)}`)
  }
  if (key.facts.curve !== curve) throw new Refusal(`that key is not a ${curve} key`)
  return key
}

/**
 * Guarded as a key must be that is to be trusted for years, and able to sign.
 * @returns remarks for whoever decides @throws Refusal
 */
export async function checkTokenKey(
  { access }: OpenToken,
  key: { readonly label: string; readonly curve: Curve; readonly did: string },
): Promise<readonly string[]> {
  const { curve, did } = key
  const { problems, remarks } = await latched(
    checkKey(access, { match: { label: key.label, id: null }, curve, did }),
  )
  if (problems.length > 0) throw new Refusal(`the token's key is refused: ${problems.join('; ')}`)
  return remarks
}

/** @returns r‖s over the probe of the challenge; S as the token gave it */
export async function proveWithToken(
  { access }: OpenToken,
  match: KeyMatch,
  challenge: Uint8Array,
): Promise<Uint8Array> {
  const { signature } = await latched(
    runCommand(access, { kind: 'prove', match, nonce: challenge }),
  )
  if (signature === null) throw new Refusal('the token did not sign')
  return signature
}

/** The same error, with the command that this machine has for it. */
export async function latched<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof SignerError) || !(error.cause instanceof LatchedError)) throw error
    const { serial } = error.cause.latch
    const message = `token ${serial} is latched: ${error.cause.message}; look, then run: scripts/ceremony unlatch ${serial}`
    throw new SignerError(error.code, message, { cause: error })
  }
}
