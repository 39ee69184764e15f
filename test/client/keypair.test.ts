import { Secp256k1Keypair } from '@atproto/crypto'
import type { Keypair } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import { ApiError } from '../../src/client/error.ts'
import type { HoldfastKeypair } from '../../src/client/keypair.ts'
import { SignatureError, createKeypair } from '../../src/client/keypair.ts'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { requestView } from '../http/door-deps.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

let service: Service
let client: HoldfastClient
let keypair: HoldfastKeypair

beforeAll(async () => {
  service = await startService()
  client = createClient({ url: service.url, credential: service.pds })
  keypair = await client.keypair('pds')
})
afterAll(async () => await service.stop())

const handles = { handle: 'alice.example.com', pds: 'https://pds.example.com' }

async function account() {
  const signingKey = (await Secp256k1Keypair.create()).did()
  const rotationKeys = [keypair.did()]
  return await plc.createOp({ ...handles, signingKey, rotationKeys, signer: keypair })
}

describe('a keypair of the service', () => {
  it('is a Keypair of @atproto/crypto', () => {
    const standard: Keypair = keypair
    expect(standard.jwtAlg).toBe('ES256K')
    expect(standard.did()).toBe(service.keyDid)
  })

  it('signs what @did-plc/lib builds, and its own checks accept it', async () => {
    const { op, did } = await account()
    await plc.validateOperationLog(did, [op])
    const { sig: _sig, ...unsigned } = op
    const bytes = Buffer.from(op.sig, 'base64url')
    expect(await verifyWithAtproto(service.keyDid, await encoded(unsigned), bytes)).toBe(true)
  })

  it('serves the PLC client itself: an account is made and renamed on the directory', async () => {
    const directory = new plc.Client(service.directory.url)
    const { op, did } = await account()
    await directory.sendOperation(did, op)
    // The library's own update: it reads the head, builds, signs with our keypair and submits.
    await directory.updateHandle(did, keypair, 'bob.example.com')
    const entries = service.directory.entries(did)
    expect(entries).toHaveLength(2)
    expect(entries[1]?.operation).toMatchObject({ alsoKnownAs: ['at://bob.example.com'] })
    const { requests } = await client.listRequests({ limit: 2 })
    expect(requests.map(({ state, did: of }) => [state, of])).toEqual([
      ['returned', did],
      ['returned', did],
    ])
  })

  it('gives the same signature for the same bytes', async () => {
    const { op } = await account()
    const { sig: _sig, ...unsigned } = op
    const bytes = await encoded(unsigned)
    expect(Buffer.from(await keypair.sign(bytes)).toString('base64url')).toBe(op.sig)
    expect(Buffer.from(await keypair.sign(bytes)).toString('base64url')).toBe(op.sig)
  })

  it('signs nothing that the policy does not allow, and nothing that is no operation', async () => {
    const signingKey = (await Secp256k1Keypair.create()).did()
    const frozen = plc.createOp({ ...handles, signingKey, rotationKeys: [], signer: keypair })
    await expect(frozen).rejects.toMatchObject({ code: 'denied' })
    await expect(keypair.sign(new Uint8Array(32))).rejects.toMatchObject({ code: 'malformed' })
    await expect(keypair.sign(new Uint8Array(32))).rejects.toBeInstanceOf(ApiError)
  })

  it('is had for online keys of the caller alone', async () => {
    await expect(client.keypair('recovery')).rejects.toBeInstanceOf(RangeError)
  })

  it('says which request is waited for when people have to approve first', async () => {
    const waiting = requestView(7, { state: 'proposed', signature: null })
    const key = { id: 'pds', did: 'did:key:z', curve: 'P-256', class: 'online' } as const
    const slow = createKeypair(
      { ...key, development: false },
      { propose: async () => waiting, sign: async () => waiting },
    )
    expect(slow.jwtAlg).toBe('ES256')
    const error = await slow.sign(new Uint8Array()).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(SignatureError)
    expect(error).toMatchObject({ requestId: waiting.id })
  })
})

/** By the encoder that the library itself uses, not by ours. */
async function encoded(unsigned: object): Promise<Uint8Array> {
  const { encode } = await import('@ipld/dag-cbor')
  return encode(unsigned)
}
