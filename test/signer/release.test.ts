import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { expect, test } from 'vitest'
import { authorize } from '../../src/approval/authorize.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import { verifyForRelease } from '../../src/signer/release.ts'
import type { CommittedIntent, KeyUse } from '../../src/signer/signer.ts'
import { genesisOf } from '../support/operations.ts'
import { bitFlip } from '../support/signers.ts'

// The one gate out of every key backend.

const { verify } = openVerifier()
const keys = {
  'K-256': await Secp256k1Keypair.import('33'.repeat(32)),
  'P-256': await P256Keypair.import('44'.repeat(32)),
}

function intentFor(curve: keyof typeof keys): CommittedIntent {
  const did = keys[curve].did()
  const authorized = authorize({
    decision: { kind: 'allow', rules: ['GENESIS'], limits: [] },
    requestId: 'a-request',
    bytes: signingBytes(genesisOf('release', [did])),
    key: { id: 'pds', class: 'online', curve, did, uri: 'file:pds', development: true },
  })
  return { authorized, lease: 'a-lease' } as CommittedIntent
}

const useOf = (signature: Uint8Array): KeyUse => ({
  signature,
  home: 'eu-central-1',
  requestId: 'provider-1',
})

test('what is released says which home made it, and how the provider named that call', async () => {
  const intent = intentFor('K-256')
  const raw = await keys['K-256'].sign(intent.authorized.bytes)

  expect(await verifyForRelease(intent, useOf(raw), verify)).toMatchObject({
    home: 'eu-central-1',
    requestId: 'provider-1',
  })
})

test.each(['K-256', 'P-256'] as const)(
  'of a %s signature every single bit counts',
  async (curve) => {
    const intent = intentFor(curve)
    const raw = await keys[curve].sign(intent.authorized.bytes)
    const released = await verifyForRelease(intent, useOf(raw), verify)
    const invalid = { name: 'SignerError', code: 'signature-invalid' }

    expect(released.compact).toEqual(Uint8Array.from(raw))
    for (let bit = 0; bit < 512; bit += 1) {
      await expect(
        verifyForRelease(intent, useOf(bitFlip(bit)(raw)), verify),
        `bit ${bit}`,
      ).rejects.toMatchObject(invalid)
    }
  },
)

test('what is verified cannot be changed before it is recorded', async () => {
  const intent = intentFor('K-256')
  const raw = Uint8Array.from(await keys['K-256'].sign(intent.authorized.bytes))
  const released = await verifyForRelease(intent, useOf(raw), verify)
  const before = Uint8Array.from(released.compact)
  raw.fill(0)

  expect(released.compact).toEqual(before)
  expect(Object.isFrozen(released)).toBe(true)
})
