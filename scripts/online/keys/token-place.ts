import { latchDir } from '../../../src/data-dir.ts'
import { normaliseS } from '../../../src/ecdsa/release.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { checkKey, createKey, importKey, listKeys } from '../../../src/signer/pkcs11/admin.ts'
import type { TokenKey } from '../../../src/signer/pkcs11/admin.ts'
import { pinOf } from '../../../src/signer/pkcs11/backend.ts'
import { moduleEnvironment } from '../../../src/signer/pkcs11/environment.ts'
import { runCommand } from '../../../src/signer/pkcs11/run-command.ts'
import type { TokenAccess } from '../../../src/signer/pkcs11/run-command.ts'
import { parseKeyUri, parseTokenUri } from '../../../src/signer/pkcs11/uri.ts'
import type { KeyMatch, TokenUri } from '../../../src/signer/pkcs11/uri.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import { describeAccess } from './file-place.ts'
import type { Ground } from './open.ts'
import type { Making, PlaceKind } from './place-kind.ts'

/** PKCS#11 tokens. Each command is a child process and one login, under the service's own latch. */
export const tokenPlace: PlaceKind = {
  scheme: 'pkcs11',
  option: 'token',
  create: async (ground, uri, { name, curve }) => {
    const access = accessOf(ground, parseTokenUri(uri))
    return makingOf(name, await createKey(access, { label: name, curve }))
  },
  import: async (ground, uri, { name, curve, secret }) => {
    const access = accessOf(ground, parseTokenUri(uri))
    return makingOf(name, await importKey(access, { label: name, curve, secret }))
  },
  list: async (ground, uri) => {
    const keys = await listKeys(accessOf(ground, parseTokenUri(uri)))
    return keys.map(({ did, uri: keyUri, facts }) => ({ did, uri: keyUri, name: facts.label }))
  },
  look: async (ground, key, uri) => {
    try {
      const { key: match, ...token } = parseKeyUri(uri)
      return judge(key, match, await listKeys(accessOf(ground, token)))
    } catch (error) {
      if (!(error instanceof SignerError)) throw error
      return `cannot be asked: ${error.message}`
    }
  },
  prove: async (ground, { curve }, uri, challenge) => {
    const { key: match, ...token } = parseKeyUri(uri)
    const nonce = challenge
    const { signature } = await runCommand(accessOf(ground, token), { kind: 'prove', match, nonce })
    if (signature === null) throw new SignerError('key-unusable', 'the token did not sign')
    return normaliseS(curve, signature)
  },
  check: async (ground, { curve, did }, uri) => {
    try {
      const { key: match, ...token } = parseKeyUri(uri)
      const { problems, remarks } = await checkKey(accessOf(ground, token), { match, curve, did })
      const pin = await describeAccess(token.pinPath ?? ground.config.pkcs11PinFile ?? '')
      const readers = [
        'the private half: nobody, as far as the token says',
        `its use: whoever reads the PIN, ${pin.reader}; and the token's own officers`,
      ]
      return { problems, remarks, readers }
    } catch (error) {
      if (!(error instanceof SignerError)) throw error
      return { problems: [error.message], remarks: [], readers: [] }
    }
  },
}

function accessOf({ config, environment }: Ground, uri: TokenUri): TokenAccess {
  return {
    uri,
    pin: pinOf(uri, config.pkcs11PinFile),
    latchDir: latchDir(config),
    environment: moduleEnvironment(environment),
  }
}

function makingOf(label: string, made: TokenKey | null): Making {
  if (made === null) return { there: `a key with the label ${label}` }
  const { did, uri } = made
  if (did === null || uri === null) {
    throw new SignerError('unavailable', `the token made ${label}, but shows no public key for it`)
  }
  return { did, uri }
}

function judge({ did }: KeyConfig, match: KeyMatch, keys: readonly TokenKey[]): string {
  const isNamed = ({ facts }: TokenKey) =>
    (match.label === null || match.label === facts.label) &&
    (match.id === null || Buffer.compare(match.id, facts.id) === 0)
  const [key, another] = keys.filter(isNamed)
  if (key === undefined) return 'missing: no private key has that label and id'
  if (another !== undefined) return 'ambiguous: several keys have that label and id'
  return key.did === did
    ? 'ready'
    : `not the pinned key: the token shows ${key.did ?? 'no public key'}`
}
