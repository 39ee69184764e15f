import * as dagCbor from '@ipld/dag-cbor'
import { describe, expect, test } from 'vitest'
import {
  parsePasskeyFile,
  passkeyDigest,
  passkeyFile,
  renderPasskeyFile,
} from '../../src/approval/passkey-file.ts'
import { readRegistration, registrationChallenge } from '../../src/approval/registration.ts'
import type { Registration } from '../../src/approval/registration.ts'
import { sha256 } from '../../src/approval/statement.ts'
import { coseOf, officerKeys, passkeyId } from '../policy/officers.ts'
import { ORIGIN } from './cases.ts'

// What a browser answers when it makes a passkey; one of Chromium's own is in officers-invite.test.ts.

const token = new Uint8Array(32).fill(7)
const challenge = registrationChallenge(token)
const rp = { id: 'localhost', origins: [ORIGIN] }
const cose = coseOf((await officerKeys('alice')).passkey)
const id = passkeyId('alice')

type Parts = {
  client: Record<string, unknown>
  rpId: string
  flags: number
  id: Uint8Array
  key: Uint8Array
  rest: Uint8Array
  object: Record<string, unknown>
}

/** As an authenticator in software writes it; `change` spoils its parts. */
function registration(change: (parts: Parts) => void = () => {}): Registration {
  const encoded = Buffer.from(challenge).toString('base64url')
  const parts: Parts = {
    client: { type: 'webauthn.create', challenge: encoded, origin: ORIGIN, crossOrigin: false },
    rpId: 'localhost',
    flags: 0x45,
    id: new Uint8Array(Buffer.from(id, 'base64url')),
    key: cose,
    rest: new Uint8Array(),
    object: { fmt: 'none', attStmt: {} },
  }
  change(parts)
  const authData = Uint8Array.of(
    ...sha256(Buffer.from(parts.rpId)),
    parts.flags,
    ...new Uint8Array(4),
    ...new Uint8Array(16).fill(0xab),
    parts.id.length >> 8,
    parts.id.length & 255,
    ...parts.id,
    ...parts.key,
    ...parts.rest,
  )
  return {
    credentialId: id,
    clientDataJSON: new Uint8Array(Buffer.from(JSON.stringify(parts.client))),
    attestationObject: new Uint8Array(dagCbor.encode({ authData, ...parts.object })),
  }
}

const read = (given: Registration) => readRegistration(given, { challenge, rp })

describe('a passkey that a browser made', () => {
  test('is read as a roster has it', () => {
    expect(read(registration())).toEqual({
      kind: 'webauthn',
      id,
      key: cose,
      aaguid: 'abababab-abab-abab-abab-abababababab',
      attestation: null,
      backupEligible: false,
    })
  })

  test('may be synced, and may bring extensions', () => {
    expect(read(registration((parts) => (parts.flags = 0x5d))).backupEligible).toBe(true)
    const extended = registration((parts) => {
      parts.flags = 0xc5
      parts.rest = dagCbor.encode({ credProtect: 2 })
    })
    expect(read(extended).key).toEqual(cose)
  })

  test.each<[string, (parts: Parts) => void, RegExp]>([
    ['a signature', (p) => (p.client['type'] = 'webauthn.get'), /type is not webauthn.create/],
    ['another challenge', (p) => (p.client['challenge'] = 'AAAA'), /challenge/],
    ['another origin', (p) => (p.client['origin'] = 'https://evil.example'), /origin/],
    ['a frame', (p) => (p.client['crossOrigin'] = true), /across origins/],
    ['another RP ID', (p) => (p.rpId = 'evil.example'), /RP ID/],
    ['nobody present', (p) => (p.flags = 0x44), /nobody was present/],
    ['nobody verified', (p) => (p.flags = 0x41), /not verified/],
    ['no passkey', (p) => (p.flags = 0x05), /brings no passkey/],
    ['a backup without eligibility', (p) => (p.flags = 0x55), /not eligible/],
    ['a reserved flag', (p) => (p.flags = 0x47), /flags that nobody has/],
    ['another id', (p) => (p.id = Uint8Array.of(1, 2)), /another passkey than it says/],
    ['no id', (p) => (p.id = new Uint8Array()), /wrong length/],
    ['a key of RSA', (p) => (p.key = cose.with(2, 0x03)), /none of ES256/],
    ['a point beside the curve', (p) => (p.key = cose.with(76, cose[76]! ^ 1)), /none of ES256/],
    ['bytes behind its key', (p) => (p.rest = Uint8Array.of(0)), /bytes follow/],
    ['extensions that are not there', (p) => (p.flags = 0xc5), /bytes follow/],
    ['no data', (p) => (p.object = { fmt: 'none', attStmt: {}, authData: 1 }), /attestationObject/],
  ])('does not count with %s', (_name, change, reason) => {
    expect(() => read(registration(change))).toThrow(reason)
  })

  test('does not count when it was made for another link', () => {
    const other = registrationChallenge(new Uint8Array(32).fill(8))
    expect(() => readRegistration(registration(), { challenge: other, rp })).toThrow(/challenge/)
  })

  test('does not count cut off at any byte', () => {
    const whole = registration()
    for (let length = 0; length < whole.attestationObject.length; length += 1) {
      const cut = { ...whole, attestationObject: whole.attestationObject.slice(0, length) }
      expect(() => read(cut)).toThrow(/does not count/)
    }
  })
})

describe('the file of a passkey', () => {
  const file = passkeyFile('alice', read(registration()))

  test('is read back, and its words are of person and key', () => {
    expect(parsePasskeyFile(renderPasskeyFile(file))).toEqual(file)
    expect(passkeyDigest({ ...file, person: 'bob' })).not.toEqual(passkeyDigest(file))
    expect(passkeyDigest({ ...file, backupEligible: true })).not.toEqual(passkeyDigest(file))
  })

  test.each([
    ['no JSON', 'hello'],
    ['another format', renderPasskeyFile(file).replace('passkey/v1', 'passkey/v2')],
    ['a field more', renderPasskeyFile(file).replace('"person"', '"note": 1, "person"')],
    ['no key', renderPasskeyFile({ ...file, key: 'AAAA' })],
  ])('that is %s is none', (_name, text) => {
    expect(() => parsePasskeyFile(text)).toThrow(/is no passkey/)
  })
})
