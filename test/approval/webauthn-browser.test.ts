import { createPrivateKey, randomBytes, sign as opensslSign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server'
import type { WebAuthnCredential } from '@simplewebauthn/server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeEvidence } from '../../src/approval/evidence.ts'
import { statementOf } from '../../src/approval/matter.ts'
import { encodeStatement, preimageOf, sha256 } from '../../src/approval/statement.ts'
import { verifyApproval } from '../../src/approval/verify.ts'
import { derToCompact, compactToDer } from '../../src/ecdsa/der.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { Roster } from '../../src/policy/roster.ts'
import { verify } from '../plc/build-log.ts'
import { coseOf, officerFiles, officerKeys, passkeyId } from '../policy/officers.ts'
import { missingForBrowser, openPasskeyBrowser } from '../support/passkey-browser.ts'
import type { PasskeyBrowser } from '../support/passkey-browser.ts'
import { matterOf, signatoryOf } from './cases.ts'

// Passkeys of a real browser, before our verifier and before another one that shares no code with it.

const missing = missingForBrowser()
if (missing !== null && process.env['CI'] === 'true') throw new Error(`missing: ${missing}`)

type Passkey = {
  readonly roster: Roster
  /** As the other verifier keeps it. Its counter is left at 0: evidence is verified again and again. */
  readonly known: WebAuthnCredential
  readonly backupEligible: boolean
  readonly privateKey: KeyObject
}

describe.skipIf(missing !== null)('a passkey of Chromium', () => {
  let browser: PasskeyBrowser
  let device: Passkey
  let synced: Passkey

  beforeAll(async () => {
    browser = await openPasskeyBrowser()
    synced = await enrol(true)
    // The one that is at hand from here on.
    device = await enrol(false)
  })
  afterAll(async () => await browser.close())

  /** A passkey in a roster of this page's origin: its key is taken as the registration gives it. */
  async function enrol(backedUp: boolean): Promise<Passkey> {
    await browser.useAuthenticator({ backedUp })
    const challenge = base64url(randomBytes(32))
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: await browser.register('alice', challenge),
      expectedChallenge: challenge,
      expectedOrigin: browser.origin,
      expectedRPID: 'localhost',
      requireUserVerification: true,
    })
    if (!verified) throw new Error('the registration does not verify')
    const { credential, credentialDeviceType } = registrationInfo
    const backupEligible = credentialDeviceType === 'multiDevice'
    const roster = await rosterWith(credential, backupEligible)
    const pkcs8 = Buffer.from(await browser.privateKey(), 'base64')
    const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    const known = { ...credential, counter: 0 }
    return { roster, known, backupEligible, privateKey }
  }

  async function rosterWith(made: WebAuthnCredential, backupEligible: boolean): Promise<Roster> {
    const old = coseOf((await officerKeys('alice')).passkey)
    const roster = officerFiles.roster
      .replace('http://localhost:2590', browser.origin)
      .replace(passkeyId('alice'), made.id)
      .replace(base64url(old), base64url(made.publicKey))
      .replace('backupEligible: false', `backupEligible: ${backupEligible}`)
    return parsePolicySet({ ...officerFiles, roster }).roster!
  }

  const statementWith = ({ roster, known }: Passkey) =>
    encodeStatement(statementOf(matterOf(), signatoryOf('alice', { credential: known.id, roster })))

  /** What the browser answers to a statement, in bytes. */
  async function answer(passkey: Passkey, statement: Uint8Array, verification?: 'discouraged') {
    const challenge = base64url(sha256(preimageOf(statement)))
    const { response } = await browser.assert(passkey.known.id, challenge, verification)
    return {
      clientDataJSON: fromBase64url(response.clientDataJSON),
      authenticatorData: fromBase64url(response.authenticatorData),
      signature: fromBase64url(response.signature),
    }
  }
  type Answer = Awaited<ReturnType<typeof answer>>

  async function isOurs(passkey: Passkey, statement: Uint8Array, given: Answer): Promise<boolean> {
    const evidence = encodeEvidence({ kind: 'webauthn', credentialId: passkey.known.id, ...given })
    const rosters = [passkey.roster]
    return await verifyApproval({ raw: { statement, evidence }, rosters, verify }).then(
      () => true,
      () => false,
    )
  }

  async function isTheirs(passkey: Passkey, statement: Uint8Array, given: Answer) {
    const { id } = passkey.known
    return await verifyAuthenticationResponse({
      response: {
        id,
        rawId: id,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: base64url(given.clientDataJSON),
          authenticatorData: base64url(given.authenticatorData),
          signature: base64url(given.signature),
        },
      },
      expectedChallenge: base64url(sha256(preimageOf(statement))),
      expectedOrigin: [browser.origin],
      expectedRPID: 'localhost',
      credential: passkey.known,
      requireUserVerification: true,
    }).then(
      ({ verified }) => verified,
      () => false,
    )
  }

  test('approves: its answer to the hash of a statement is evidence of that statement', async () => {
    const statement = statementWith(device)
    const given = await answer(device, statement)
    expect(await isOurs(device, statement, given)).toBe(true)
    expect(await isTheirs(device, statement, given)).toBe(true)
    // And of no other: one more second is another challenge.
    const { roster, known } = device
    const other = encodeStatement(
      statementOf(matterOf(), {
        ...signatoryOf('alice', { credential: known.id, roster }),
        notBefore: 1,
      }),
    )
    expect(await isOurs(device, other, given)).toBe(false)
    expect(await isTheirs(device, other, given)).toBe(false)
  })

  test('is no evidence where the page did not ask for the user’s verification', async () => {
    const statement = statementWith(device)
    await browser.setUserVerified(false)
    const given = await answer(device, statement, 'discouraged')
    await browser.setUserVerified(true)
    expect(await isOurs(device, statement, given)).toBe(false)
    expect(await isTheirs(device, statement, given)).toBe(false)
  })

  test('that may be copied to other devices is another one than the roster pins, and so none', async () => {
    expect([device.backupEligible, synced.backupEligible]).toEqual([false, true])
    const statement = statementWith(device)
    const given = await answer(device, statement)
    const roster = await rosterWith(device.known, true)
    const pinnedOther = { ...device, roster }
    expect(await isOurs(pinnedOther, statementWith(pinnedOther), given)).toBe(false)
  })

  /** One thing is changed, and the passkey's own key signs it: what no browser would do. */
  const changes: Record<string, (parts: Parts) => void> = {
    'another type': ({ client }) => void (client['type'] = 'webauthn.create'),
    'a padded challenge': ({ client }) => void (client['challenge'] = `${client['challenge']}=`),
    'another challenge': ({ client }) => void (client['challenge'] = base64url(randomBytes(32))),
    'another origin': ({ client }) => void (client['origin'] = 'https://evil.example.com'),
    'an origin with a slash': ({ client }) => void (client['origin'] = `${client['origin']}/`),
    'a top origin': ({ client }) => void (client['topOrigin'] = 'https://evil.example.com'),
    'one more field': ({ client }) => void (client['other'] = 'of a later browser'),
    'another RP ID': ({ data }) => data.set(sha256(Buffer.from('evil.example.com')), 0),
    'nobody present': ({ data }) => void (data[32]! &= ~0x01),
    'nobody verified': ({ data }) => void (data[32]! &= ~0x04),
    'backed up, not eligible': ({ data }) => void (data[32]! |= 0x10),
    'another counter': ({ data }) => data.set([0, 0, 1, 0], 33),
    'no signature': (parts) => void (parts.signature = () => new Uint8Array()),
    'another key': (parts) => void (parts.signature = () => compactToDer(randomBytes(64))),
    'S in its other form': (parts) => void (parts.signature = otherS),
    // What only we refuse; none of it comes from an authenticator and a page that are what they seem.
    'a frame of another page': ({ client }) => void (client['crossOrigin'] = true),
    'a reserved flag': ({ data }) => void (data[32]! |= 0x02),
    'eligible for copies': ({ data }) => void (data[32]! |= 0x08),
  }
  const onlyOursRefuses = ['a frame of another page', 'a reserved flag', 'eligible for copies']

  test('changed and signed again: two verifiers agree, but where ours is the stricter one', async () => {
    const statement = statementWith(device)
    const base = await answer(device, statement)
    const names = Object.keys(changes)
    const mixed = Array.from({ length: 60 }, (_, index) =>
      [0, 1, 2].map((turn) => names[(index * 7 + turn * (index + 5)) % names.length]!),
    )
    for (const chosen of [[], ...names.map((name) => [name]), ...mixed]) {
      const given = changed(base, chosen)
      const [ours, theirs] = [
        await isOurs(device, statement, given),
        await isTheirs(device, statement, given),
      ]
      const stricter = chosen.some((name) => onlyOursRefuses.includes(name))
      expect({ chosen, ours }).toEqual({ chosen, ours: theirs && !stricter })
    }
  })

  type Parts = {
    client: Record<string, string | boolean>
    data: Uint8Array<ArrayBuffer>
    signature: (der: Uint8Array) => Uint8Array
  }

  function changed(base: Answer, names: readonly string[]): Answer {
    const parts: Parts = {
      client: JSON.parse(Buffer.from(base.clientDataJSON).toString()) as Parts['client'],
      data: Uint8Array.from(base.authenticatorData),
      signature: (der) => der,
    }
    for (const name of names) changes[name]!(parts)
    const clientDataJSON = Uint8Array.from(Buffer.from(JSON.stringify(parts.client)))
    const signed = Buffer.concat([parts.data, sha256(clientDataJSON)])
    const der = Uint8Array.from(opensslSign('sha256', signed, device.privateKey))
    const signature = Uint8Array.from(parts.signature(der))
    return { clientDataJSON, authenticatorData: parts.data, signature }
  }

  test('with any one bit changed is no evidence, to either of two verifiers', async () => {
    const statement = statementWith(device)
    const base = await answer(device, statement)
    for (const part of ['clientDataJSON', 'authenticatorData', 'signature'] as const) {
      for (let bit = 3; bit < base[part].length * 8; bit += 29) {
        const bytes = Uint8Array.from(base[part])
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        const given = { ...base, [part]: bytes }
        expect({ part, bit, ours: await isOurs(device, statement, given) }).toEqual({
          part,
          bit,
          ours: false,
        })
        expect(await isTheirs(device, statement, given)).toBe(false)
      }
    }
  })
})

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const fromBase64url = (text: string) => Uint8Array.from(Buffer.from(text, 'base64url'))

const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

function otherS(der: Uint8Array): Uint8Array {
  const compact = Buffer.from(derToCompact(der))
  const s = BigInt(`0x${compact.subarray(32).toString('hex')}`)
  compact.write((P256_ORDER - s).toString(16).padStart(64, '0'), 32, 'hex')
  return compactToDer(compact)
}
