import { hash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { decodeOfficerSecret } from '../../src/approval/officer-secret.ts'
import { readEnv, toConfig } from '../../src/config.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { openPrivateKey } from '../../src/ecdsa/private-key.ts'
import { normaliseS } from '../../src/ecdsa/release.ts'
import { curveOf } from '../../src/plc/did-key.ts'
import { escapeText } from '../../src/plc/text.ts'
import { moduleEnvironment } from '../../src/signer/pkcs11/environment.ts'
import { openOwnKey } from '../../src/signer/pkcs11/own-key.ts'
import { pinFromFile } from '../../src/signer/pkcs11/pin-file.ts'
import type { TokenAccess } from '../../src/signer/pkcs11/run-command.ts'
import { parseKeyUri } from '../../src/signer/pkcs11/uri.ts'
import type { TokenUri } from '../../src/signer/pkcs11/uri.ts'
import { AgeError, openWithPassphrase } from '../offline/age.ts'
import { readBounded, Refusal } from '../offline/command.ts'
import { latchDir } from '../offline/keys/latches.ts'
import { askPin, latched } from '../offline/keys/token.ts'
import type { Terminal } from '../offline/terminal.ts'
import { UsageError } from './command.ts'
import { officerKeyOptions, officerKeyUsage } from './officers/options.ts'

/** An officer's own key, on the officer's own machine. */
export type OfficerKey = {
  readonly did: string
  /**
   * ECDSA with SHA-256 over bytes of one of our own domains: r‖s, 64 bytes, low-S, verified.
   * @throws TypeError for anything else, SignerError
   */
  sign(bytes: Uint8Array): Promise<Uint8Array>
  /** Forgets the key and the PIN, as far as that can be done here. */
  close(): Promise<void>
}

export { officerKeyOptions, officerKeyUsage }

export type OfficerKeyValues = {
  readonly 'key-file'?: string | undefined
  readonly 'passphrase-file'?: string | undefined
  readonly token?: string | undefined
}

const MAX_FILE_BYTES = 16 * 1024
const MAX_PASSPHRASE_BYTES = 1024

/**
 * The key that the options name: an encrypted file, or one on a PKCS#11 token. What opens it comes from
 * a file, else from whoever sits at the terminal.
 * @throws UsageError, Refusal, SignerError
 */
export async function openOfficerKey(
  values: OfficerKeyValues,
  { usage, terminal }: { readonly usage: string; readonly terminal: Terminal },
): Promise<OfficerKey> {
  const { 'key-file': file, 'passphrase-file': passphraseFile, token } = values
  if ((file === undefined) === (token === undefined)) {
    throw new UsageError(`${usage}\nname the officer's key: ${officerKeyUsage}`)
  }
  if (file !== undefined) return await openFile(file, passphraseFile, terminal)
  if (passphraseFile !== undefined) {
    throw new UsageError(`${usage}\n--passphrase-file goes with --key-file`)
  }
  return await openToken(token!, terminal)
}

/** Opens the key for one command and closes it whatever happens; the terminal stays its owner's. */
export async function withOfficerKey<T>(
  values: OfficerKeyValues,
  { usage, terminal }: { readonly usage: string; readonly terminal: Terminal },
  use: (key: OfficerKey) => Promise<T>,
): Promise<T> {
  const key = await openOfficerKey(values, { usage, terminal })
  try {
    return await use(key)
  } finally {
    await key.close()
  }
}

async function openFile(
  path: string,
  passphraseFile: string | undefined,
  terminal: Terminal,
): Promise<OfficerKey> {
  const file = escapeText(path)
  const sealed = await readBounded(path, MAX_FILE_BYTES)
  const passphrase =
    passphraseFile === undefined
      ? (await terminal.askSecret(`Passphrase of ${file}`)).toString('utf8')
      : await readPassphraseFile(passphraseFile)
  const opened = await openWithPassphrase(passphrase, sealed).catch((cause: unknown) => {
    if (!(cause instanceof AgeError)) throw cause
    const why = cause.reason === 'damaged' ? 'is damaged' : 'does not open with this passphrase'
    throw new Refusal(`${file}: ${why}`, { cause })
  })
  const content = decodeOfficerSecret(opened)
  opened.fill(0)
  if (content === null) throw new Refusal(`${file}: holds no key of an officer`)
  const key = await openPrivateKey(content.curve, content.secret)
  content.secret.fill(0)
  if (key.did !== content.did) {
    throw new Refusal(`${file}: holds another key than it says; it was changed`)
  }
  return officerKey(
    key.did,
    async (bytes) => await key.sign(bytes),
    async () => key.clear(),
  )
}

/** A passphrase in a file of its own that only its owner can read; one line end is no part of it. */
export async function readPassphraseFile(path: string): Promise<string> {
  const name = escapeText(path)
  const content = await readBounded(path, MAX_PASSPHRASE_BYTES)
  const { mode } = await stat(path)
  if ((mode & 0o077) !== 0) {
    throw new Refusal(`${name}: can be read by others; run: chmod 600 ${name}`)
  }
  const passphrase = content.toString('utf8').replace(/\r?\n$/, '')
  content.fill(0)
  if (passphrase === '') throw new Refusal(`${name}: is empty`)
  return passphrase
}

async function openToken(text: string, terminal: Terminal): Promise<OfficerKey> {
  const { key: match, ...uri } = parseKeyUri(text)
  const { access, forget } = tokenAccess(uri, terminal)
  try {
    const key = await latched(openOwnKey(access, match))
    const sign = async (bytes: Uint8Array) => await key.sign(hash('sha256', bytes, 'buffer'))
    return officerKey(key.did, sign, async () => {
      await key.close()
      forget()
    })
  } catch (error) {
    forget()
    throw error
  }
}

/**
 * A token of this machine's user. Its PIN comes from the file that the URI names, from
 * HOLDFAST_PKCS11_PIN_FILE, or is asked for once; a wrong one latches for this user.
 */
export function tokenAccess(
  uri: TokenUri,
  terminal: Terminal,
): { readonly access: TokenAccess; readonly forget: () => void } {
  const path = uri.pinPath ?? toConfig(readEnv(process.env), process.cwd()).pkcs11PinFile
  const { pin, forget } =
    path === null
      ? askPin(uri.token.label ?? uri.token.serial ?? '', terminal)
      : { pin: pinFromFile(path), forget: () => {} }
  const environment = moduleEnvironment(process.env)
  return { access: { uri, pin, latchDir: latchDir(), environment }, forget }
}

function officerKey(
  did: string,
  use: (bytes: Uint8Array) => Promise<Uint8Array>,
  close: () => Promise<void>,
): OfficerKey {
  const { verify } = openVerifier()
  return {
    did,
    close,
    sign: async (bytes) => {
      requireOwnDomain(bytes)
      const signature = normaliseS(curveOf(did), await use(bytes))
      if (await verify(did, bytes, signature)) return signature
      throw new Refusal(`what came back is no signature of ${did}`)
    },
  }
}

/** Never a PLC operation, whoever rostered whichever key: that begins with a map of CBOR (a0 to bf). */
function requireOwnDomain(bytes: Uint8Array): void {
  if (Buffer.from(bytes.subarray(0, 9)).toString('latin1') === 'holdfast/') return
  throw new TypeError('an officer’s key signs statements of Holdfast’s own and nothing else')
}
