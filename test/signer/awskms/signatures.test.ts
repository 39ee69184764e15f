import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GetPublicKeyCommand, SignCommand } from '@aws-sdk/client-kms'
import { describe, expect, onTestFinished, test } from 'vitest'
import { verifyWithAtproto } from '../../../src/ecdsa/atproto.ts'
import { verifyForRelease } from '../../../src/signer/release.ts'
import { missingForKms } from '../../support/kms-emulator/emulator.ts'
import { highS } from '../../support/kms-emulator/proxy.ts'
import { newIntent, within } from '../pkcs11/ask.ts'
import { openBench } from './harness.ts'
import { signMany } from './sign-many.ts'

const missing = missingForKms()
const curves = ['k', 'p'] as const

describe.skipIf(missing !== null)(`the emulator (needs ${missing ?? 'nothing more'})`, () => {
  test.each(
    curves.flatMap((curve) => (['RAW', 'DIGEST'] as const).map((type) => ({ curve, type }))),
  )('signs as AWS KMS does, says OpenSSL: $curve, $type', async ({ curve, type }) => {
    const { emulator, keys } = await openBench()
    const dir = await mkdtemp(join(tmpdir(), 'holdfast-kms-'))
    onTestFinished(async () => await rm(dir, { recursive: true }))
    const file = (name: string) => join(dir, name)
    const message = randomBytes(200)
    const digest = createHash('sha256').update(message).digest()
    const { arn: KeyId } = keys[curve]
    const { PublicKey } = await emulator.client.send(new GetPublicKeyCommand({ KeyId }))
    const { Signature } = await emulator.client.send(
      new SignCommand({
        KeyId,
        Message: type === 'RAW' ? message : digest,
        MessageType: type,
        SigningAlgorithm: 'ECDSA_SHA_256',
      }),
    )
    await writeFile(file('key'), PublicKey ?? '')
    await writeFile(file('signature'), Signature ?? '')
    await writeFile(file('message'), message)
    const key = ['-verify', file('key'), '-keyform', 'DER']
    const signed = ['-signature', file('signature'), file('message')]
    expect(execFileSync('openssl', ['dgst', '-sha256', ...key, ...signed]).toString()).toContain(
      'Verified OK',
    )
  })
})

describe.skipIf(missing !== null)('a key in AWS KMS', () => {
  test.each(curves)('signs 500 times with %s: 64 bytes, low-S, verified', async (curve) => {
    const bench = await openBench()
    const signer = await bench.open().openSigner(bench[curve])
    const { signatures, lowS, verified } = await signMany(signer, bench[curve], 500)
    expect({ signatures, lowS, verified }).toEqual({
      signatures: 500,
      lowS: 500,
      verified: 500,
    })
  })

  test.each([
    ['a short r', (compact: Uint8Array) => compact[0] === 0],
    ['a short s', (compact: Uint8Array) => compact[32] === 0],
    ['an r with a leading zero in DER', (compact: Uint8Array) => (compact[0] ?? 0) >= 0x80],
  ])(
    'gives %s as 64 bytes too',
    async (_what, wanted) => {
      const bench = await openBench()
      // Hundreds of signatures until one is so, and the call waits for as long as that takes here.
      const patient = { requestMs: 60_000, signMs: 60_000 }
      for (const curve of curves) {
        const signer = await bench.open(patient).openSigner(bench[curve])
        bench.proxy.fault({ mode: 'until', wanted })
        const intent = newIntent(bench[curve])
        const use = await signer.sign(intent, within(60_000))
        expect(wanted(use.signature)).toBe(true)
        const { compact } = await verifyForRelease(intent, use, verifyWithAtproto)
        expect(compact).toHaveLength(64)
      }
    },
    150_000,
  )

  test.each(curves)('may answer with a high S on %s: the low one is released', async (curve) => {
    const bench = await openBench()
    const key = bench[curve]
    const signer = await bench.open().openSigner(key)
    bench.proxy.fault({ mode: 'signature', change: highS(key.curve) })
    const intent = newIntent(key)
    const use = await signer.sign(intent, within(5_000))
    const { compact } = await verifyForRelease(intent, use, verifyWithAtproto)
    expect(compact.subarray(32)).not.toEqual(use.signature.subarray(32))
  })

  test('names the call as AWS does, so that CloudTrail and the record can be laid side by side', async () => {
    const bench = await openBench()
    const signer = await bench.open().openSigner(bench.k)
    const { home, requestId } = await signer.sign(newIntent(bench.k), within(5_000))
    expect(home).toBeNull()
    expect(bench.proxy.calls.filter(({ action }) => action === 'Sign')).toEqual([
      { action: 'Sign', status: 200, requestId },
    ])
    expect(requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('is asked over connections that are kept: not one for each signature', async () => {
    const bench = await openBench()
    const signer = await bench.open({ sockets: 3 }).openSigner(bench.k)
    await signMany(signer, bench.k, 60)
    expect(bench.proxy.connections()).toBeLessThanOrEqual(3)
  })
})
