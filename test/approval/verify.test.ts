import { describe, expect, test } from 'vitest'
import { decodeEvidence, encodeEvidence } from '../../src/approval/evidence.ts'
import type { Evidence, RawApproval } from '../../src/approval/evidence.ts'
import { derToCompact, compactToDer } from '../../src/ecdsa/der.ts'
import { curveOrder } from '../../src/plc/compact.ts'
import type { Roster } from '../../src/policy/roster.ts'
import { keyNamed } from '../plc/build-log.ts'
import { passkeyId } from '../policy/officers.ts'
import { preimageOf } from '../../src/approval/statement.ts'
import {
  ORIGIN,
  assertion,
  cliApproval,
  matterOf,
  passkeyApproval,
  roster,
  verified,
} from './cases.ts'
import type { AssertionParts } from './cases.ts'

const error = (code: string) => expect.objectContaining({ name: 'ApprovalError', code })

/** The same approval with other evidence. */
function withEvidence(raw: RawApproval, change: (evidence: Evidence) => object): RawApproval {
  const evidence = change(decodeEvidence(raw.evidence)) as Evidence
  return { ...raw, evidence: encodeEvidence(evidence) }
}

/** The other S of the same ECDSA signature. */
function highS(compact: Uint8Array, curve: 'K-256' | 'P-256'): Uint8Array {
  const number = (part: Uint8Array) => BigInt(`0x${Buffer.from(part).toString('hex')}`)
  const s = number(curveOrder(curve)) - number(compact.subarray(32))
  return Uint8Array.of(
    ...compact.subarray(0, 32),
    ...Buffer.from(s.toString(16).padStart(64, '0'), 'hex'),
  )
}

describe('by a did:key', () => {
  test('an approval names its person and credential', async () => {
    const approval = await verified(await cliApproval('alice'))
    expect(approval.person.id).toBe('alice')
    expect(approval.credential).toMatchObject({ kind: 'did:key', id: 'alice-cli' })
    expect(Object.isFrozen(approval)).toBe(true)
  })

  test('a signature with a high S is refused, though its mathematics hold', async () => {
    const raw = await cliApproval('alice')
    const spoiled = withEvidence(raw, (evidence) => ({
      ...evidence,
      signature: highS(evidence.signature, 'K-256'),
    }))
    await expect(verified(spoiled)).rejects.toThrow(error('bad-signature'))
  })

  test.each([63, 65, 0])('a signature of %i bytes is refused', async (length) => {
    const raw = withEvidence(await cliApproval('alice'), (evidence) => ({
      ...evidence,
      signature: new Uint8Array(length),
    }))
    await expect(verified(raw)).rejects.toThrow(error('bad-signature'))
  })

  test('the signature of another officer is refused, whatever key it names', async () => {
    const { statement } = await cliApproval('alice')
    const bob = await keyNamed('bob cli')
    const alice = await keyNamed('alice cli')
    const signature = await bob.sign(preimageOf(statement))
    const by = (did: string) => encodeEvidence({ kind: 'did:key', did, signature })
    await expect(verified({ statement, evidence: by(bob.did()) })).rejects.toThrow(
      error('unknown-credential'),
    )
    await expect(verified({ statement, evidence: by(alice.did()) })).rejects.toThrow(
      error('bad-signature'),
    )
  })

  test('a signature over the bare statement, without its domain, is refused', async () => {
    const { statement } = await cliApproval('alice')
    const alice = await keyNamed('alice cli')
    const signature = await alice.sign(statement)
    const evidence = encodeEvidence({ kind: 'did:key', did: alice.did(), signature })
    await expect(verified({ statement, evidence })).rejects.toThrow(error('bad-signature'))
  })

  test('every flipped bit of the signature is refused', async () => {
    const raw = await cliApproval('alice')
    for (let bit = 0; bit < 512; bit += 37) {
      const flipped = withEvidence(raw, (evidence) => {
        const signature = Uint8Array.from(evidence.signature)
        signature[bit >> 3]! ^= 1 << (bit & 7)
        return { ...evidence, signature }
      })
      await expect(verified(flipped)).rejects.toThrow(error('bad-signature'))
    }
  })
})

describe('by a passkey', () => {
  const spoiled = async (change: (parts: AssertionParts) => void) =>
    await verified(await passkeyApproval('alice', { change }))

  test('an approval names its person and credential', async () => {
    const approval = await verified(await passkeyApproval('alice'))
    expect(approval.credential).toMatchObject({ kind: 'webauthn', id: passkeyId('alice') })
  })

  test('a high S counts: authenticators do not normalise it', async () => {
    const raw = withEvidence(await passkeyApproval('alice'), (evidence) => ({
      ...evidence,
      signature: compactToDer(highS(derToCompact(evidence.signature), 'P-256')),
    }))
    await expect(verified(raw)).resolves.toMatchObject({ person: { id: 'alice' } })
  })

  test('words of the browser that we do not know are left alone', async () => {
    const change = ({ client }: AssertionParts) => (client['other_keys_can_be_added_here'] = 'x')
    await expect(spoiled(change)).resolves.toMatchObject({ person: { id: 'alice' } })
  })

  test.each<[string, (parts: AssertionParts) => void]>([
    ['a registration', ({ client }) => (client['type'] = 'webauthn.create')],
    ['another challenge', ({ client }) => (client['challenge'] = 'AAAA')],
    ['a padded challenge', ({ client }) => (client['challenge'] += '=')],
    ['another origin', ({ client }) => (client['origin'] = 'http://localhost:2591')],
    ['an origin that begins alike', ({ client }) => (client['origin'] = `${ORIGIN}.evil.example`)],
    ['no origin', ({ client }) => delete client['origin']],
    ['a frame in another page', ({ client }) => (client['crossOrigin'] = true)],
    ['crossOrigin as text', ({ client }) => (client['crossOrigin'] = 'false')],
    ['another page around it', ({ client }) => (client['topOrigin'] = 'https://evil.example')],
    ['another RP ID', (parts) => (parts.rpId = 'example.com')],
    ['nobody present', (parts) => (parts.flags = 0x04)],
    ['nobody verified', (parts) => (parts.flags = 0x01)],
    ['another backup eligibility', (parts) => (parts.flags = 0x0d)],
    ['a backup without eligibility', (parts) => (parts.flags = 0x15)],
    ['attested data', (parts) => (parts.flags = 0x45)],
    ['a reserved flag', (parts) => (parts.flags = 0x07)],
    ['extensions that are not there', (parts) => (parts.flags = 0x85)],
    ['bytes after it', (parts) => (parts.extensions = Uint8Array.of(0xa0))],
    [
      'too many bytes',
      (parts) => {
        parts.flags = 0x85
        parts.extensions = new Uint8Array(1000)
      },
    ],
  ])('one with %s is refused', async (_what, change) => {
    await expect(spoiled(change)).rejects.toThrow(error('bad-assertion'))
  })

  test('extensions that are announced are covered by the signature and left alone', async () => {
    const change = (parts: AssertionParts) => {
      parts.flags = 0x85
      parts.extensions = Uint8Array.of(0xa0)
    }
    await expect(spoiled(change)).resolves.toMatchObject({ person: { id: 'alice' } })
  })

  test.each<[string, string]>([
    ['that is not JSON', 'no'],
    ['that is a list', '[]'],
    ['with a byte order mark', '\ufeff{}'],
  ])('clientDataJSON %s is refused', async (_what, text) => {
    const raw = withEvidence(await passkeyApproval('alice'), (evidence) => ({
      ...evidence,
      clientDataJSON: new Uint8Array(Buffer.from(text)),
    }))
    await expect(verified(raw)).rejects.toThrow(error('bad-assertion'))
  })

  test('a signature in other than strict DER is refused', async () => {
    const raw = await passkeyApproval('alice')
    const ber = withEvidence(raw, (evidence) => ({
      ...evidence,
      signature: Uint8Array.of(0x30, 0x81, ...evidence.signature.subarray(1)),
    }))
    await expect(verified(ber)).rejects.toThrow(error('bad-signature'))
    const compact = withEvidence(raw, (evidence) => ({
      ...evidence,
      signature: derToCompact(evidence.signature),
    }))
    await expect(verified(compact)).rejects.toThrow(error('bad-signature'))
  })

  test('the answer of another passkey is refused', async () => {
    const { statement } = await passkeyApproval('alice')
    const signer = await keyNamed('alice cli')
    const other = await assertion({ statement, signer, credentialId: passkeyId('bob') })
    await expect(verified({ statement, evidence: encodeEvidence(other) })).rejects.toThrow(
      error('unknown-credential'),
    )
  })

  test('origin and RP ID are those of the roster that the statement names', async () => {
    const raw = await passkeyApproval('alice')
    const moved: Roster = { ...roster, rp: { id: 'localhost', origins: ['http://localhost:1'] } }
    await expect(verified(raw, [moved])).rejects.toThrow(error('bad-assertion'))
  })
})

describe('of either', () => {
  test('a statement under officers that are not known here is refused', async () => {
    const raw = await cliApproval('alice', { fields: { roster: { ...roster, epoch: 2 } } })
    await expect(verified(raw)).rejects.toThrow(error('unknown-roster'))
    const digest = Uint8Array.from(roster.digest)
    digest[31]! ^= 1
    const other = await cliApproval('alice', { fields: { roster: { epoch: 1, digest } } })
    await expect(verified(other)).rejects.toThrow(error('unknown-roster'))
  })

  test.each([
    ['somebody who is in no roster', { person: 'mallory' }],
    ['somebody with the credential of another', { credential: 'bob-cli' }],
    ['a credential by the beginning of its name', { credential: 'alice' }],
  ])('a statement of %s is refused', async (_what, fields) => {
    await expect(verified(await cliApproval('alice', { fields }))).rejects.toThrow(
      error('unknown-credential'),
    )
  })

  test('evidence of one kind is none for a credential of the other', async () => {
    const cli = await cliApproval('alice')
    const passkey = await passkeyApproval('alice')
    const mixed = { statement: cli.statement, evidence: passkey.evidence }
    await expect(verified(mixed)).rejects.toThrow(error('unknown-credential'))
  })

  test('an approval is evidence for its own statement only', async () => {
    const one = await cliApproval('alice')
    const other = await cliApproval('alice', { matter: matterOf({ head: null }) })
    await expect(verified({ ...one, evidence: other.evidence })).rejects.toThrow(
      error('bad-signature'),
    )
  })

  test.each([
    ['no CBOR', Uint8Array.of(0xff)],
    ['another kind', encodeEvidence({ kind: 'password' } as unknown as Evidence)],
    ['too much', new Uint8Array(8193)],
  ])('evidence that is %s is refused', async (_what, evidence) => {
    const { statement } = await cliApproval('alice')
    await expect(verified({ statement, evidence })).rejects.toThrow(error('malformed'))
  })
})
