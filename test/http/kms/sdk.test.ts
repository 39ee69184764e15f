import { verifySignature } from '@atproto/crypto'
import type { KMSServiceException } from '@aws-sdk/client-kms'
import {
  DescribeKeyCommand,
  EncryptCommand,
  GetPublicKeyCommand,
  SignCommand,
} from '@aws-sdk/client-kms'
import type { KMSClient, KMSClientConfig, SignCommandInput } from '@aws-sdk/client-kms'
import { afterEach, describe, expect, it } from 'vitest'
import type { SignNow, SignNowResult } from '../../../src/custody/sign-now.ts'
import { derToCompact } from '../../../src/ecdsa/der.ts'
import type { AppDeps } from '../../../src/http/app.ts'
import { createApp } from '../../../src/http/app.ts'
import { listen } from '../../../src/http/server.ts'
import { isLowS } from '../../../src/plc/compact.ts'
import { formatDidKey } from '../../../src/plc/did-key.ts'
import type { AccessKey } from '../../support/aws-client.ts'
import { kmsClient } from '../../support/aws-client.ts'
import { doorDeps, k256, onlineKey, p256Key, pds } from '../door-deps.ts'

/** What @atproto/aws sends, and what a PDS then has to understand: plc.md calls it the wire of KmsKeypair. */
const cleanups: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

type Started = { client: KMSClient; requests: () => number }

async function start(
  changes: Partial<AppDeps> = {},
  config: KMSClientConfig = {},
  key: AccessKey = pds,
): Promise<Started> {
  const { deps, lines } = doorDeps(changes)
  const server = await listen(createApp(deps), { host: '127.0.0.1', port: 0 })
  const client = kmsClient(`${server.url}/kms`, key, config)
  cleanups.push(
    () => server.close(),
    () => client.destroy(),
  )
  return { client, requests: () => lines.filter(({ level }) => level === 'info').length }
}

const message = Buffer.from('an unsigned operation')
const sign: SignCommandInput = {
  KeyId: 'pds',
  Message: message,
  SigningAlgorithm: 'ECDSA_SHA_256',
}

async function failureOf(sent: Promise<unknown>): Promise<KMSServiceException> {
  return sent.then(
    () => {
      throw new Error('expected a failure')
    },
    (error: unknown) => error as KMSServiceException,
  )
}

describe('the real SDK', () => {
  it.each([onlineKey, p256Key])('reads and uses a key on $curve', async ({ id, curve, did }) => {
    const { client } = await start()
    const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId: id }))
    expect(formatDidKey(curve, PublicKey!.slice(-65))).toBe(did)

    const { Signature, KeyId } = await client.send(new SignCommand({ ...sign, KeyId: id }))
    const compact = derToCompact(Signature!)
    expect(isLowS(compact, curve)).toBe(true)
    expect(await verifySignature(did, message, compact)).toBe(true)
    expect(KeyId).toBe(`arn:aws:kms:holdfast:000000000000:key/${id}`)

    // What the door calls its key, it takes for it.
    const again = await client.send(new GetPublicKeyCommand({ KeyId }))
    expect(again.PublicKey).toEqual(PublicKey)
  })

  it('describes a key', async () => {
    const { client } = await start()
    const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId: 'alias/pds' }))
    expect(KeyMetadata).toMatchObject({
      KeyId: 'pds',
      KeyState: 'Enabled',
      KeySpec: 'ECC_SECG_P256K1',
      KeyUsage: 'SIGN_VERIFY',
    })
  })

  it('sends the very bytes of the message, with any characters in them', async () => {
    const seen: Uint8Array[] = []
    const signNow: SignNow = async ({ message }) => {
      seen.push(message)
      return { kind: 'signed', requestId: 'r', compact: await k256.sign(message) }
    }
    const { client } = await start({ signNow })
    const every = Uint8Array.from({ length: 256 }, (_, i) => i)
    await client.send(new SignCommand({ ...sign, Message: every }))
    expect([...seen[0]!]).toEqual([...every])
  })

  it.each<[string, SignNowResult, string, number]>([
    [
      'a denial',
      { kind: 'denied', requestId: 'r-1', rule: 'R', message: 'no' },
      'AccessDeniedException',
      1,
    ],
    ['malformed bytes', { kind: 'malformed', message: 'no' }, 'ValidationException', 1],
    ['a busy door', { kind: 'busy', requestId: null, message: 'no' }, 'ThrottlingException', 3],
  ])('takes %s for what it is', async (_, result, name, attempts) => {
    const { client, requests } = await start({ signNow: async () => result })
    const error = await failureOf(client.send(new SignCommand(sign)))
    expect(error.name).toBe(name)
    expect(error.message).toContain('no')
    expect(error.$metadata).toMatchObject({ httpStatusCode: 400, attempts })
    expect(error.$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(requests()).toBe(attempts)
  })

  it('tries again after our own failure', async () => {
    const { client } = await start({ signNow: () => Promise.reject(new Error('secret detail')) })
    const error = await failureOf(client.send(new SignCommand(sign)))
    expect(error.name).toBe('KMSInternalException')
    expect(error.message).not.toContain('secret detail')
    expect(error.$metadata).toMatchObject({ httpStatusCode: 500, attempts: 3 })
  })

  it.each([
    ['an unknown key', new GetPublicKeyCommand({ KeyId: 'none' }), 'NotFoundException'],
    ['a digest', new SignCommand({ ...sign, MessageType: 'DIGEST' }), 'ValidationException'],
    [
      'another action',
      new EncryptCommand({ KeyId: 'pds', Plaintext: message }),
      'UnknownOperationException',
    ],
  ])('is refused %s once', async (_, command, name) => {
    const { client } = await start()
    const error = await failureOf(client.send(command as GetPublicKeyCommand))
    expect(error.name).toBe(name)
    expect(error.$metadata.attempts).toBe(1)
  })

  it.each([
    ['a wrong secret', { ...pds, secretAccessKey: 'wrong' }, 'InvalidSignatureException'],
    ['a session token', { ...pds, sessionToken: 'token' }, 'IncompleteSignatureException'],
  ])('with %s is refused once', async (_, key, name) => {
    const { client } = await start({}, {}, key)
    const error = await failureOf(client.send(new GetPublicKeyCommand({ KeyId: 'pds' })))
    expect(error.name).toBe(name)
    expect(error.$metadata.attempts).toBe(1)
  })

  it.each([-3600_000, 3600_000])('sets a clock that is %i ms off by our answer', async (offset) => {
    const { client, requests } = await start({}, { systemClockOffset: offset })
    const { $metadata } = await client.send(new GetPublicKeyCommand({ KeyId: 'pds' }))
    expect($metadata.attempts).toBe(2)
    expect(requests()).toBe(2)
  })
})
