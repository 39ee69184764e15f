import { afterAll, onTestFinished } from 'vitest'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { createAwsKmsBackend } from '../../../src/signer/awskms/backend.ts'
import type { AwsKmsLimits } from '../../../src/signer/awskms/limits.ts'
import { ADMIN, startKmsEmulator } from '../../support/kms-emulator/emulator.ts'
import type { KmsEmulator, KmsKey } from '../../support/kms-emulator/emulator.ts'
import { startKmsProxy } from '../../support/kms-emulator/proxy.ts'

// The service's own credentials, and what a PDS on the same machine may have set: an endpoint that
// leads to Holdfast, a region, and retries of the SDK's.
Object.assign(process.env, {
  AWS_ACCESS_KEY_ID: ADMIN.accessKeyId,
  AWS_SECRET_ACCESS_KEY: ADMIN.secretAccessKey,
  AWS_ENDPOINT_URL_KMS: 'http://127.0.0.1:1/kms',
  AWS_ENDPOINT_URL: 'http://127.0.0.1:1/all',
  AWS_REGION: 'us-east-1',
  AWS_MAX_ATTEMPTS: '9',
  AWS_USE_FIPS_ENDPOINT: 'true',
})

const { verify } = openVerifier()
let shared: Promise<{ emulator: KmsEmulator; k: KmsKey; p: KmsKey }> | null = null

afterAll(async () => {
  await (await shared)?.emulator.stop()
})

async function makeShared() {
  const emulator = await startKmsEmulator()
  return { emulator, k: await emulator.makeKey('K-256'), p: await emulator.makeKey('P-256') }
}

export const configOf = (key: KmsKey, endpoint: string, more = '&rate=10000'): KeyConfig => ({
  id: `kms-${key.curve}`,
  class: 'online',
  curve: key.curve,
  did: key.did,
  uri: `awskms:///${key.arn}?endpoint=${encodeURIComponent(endpoint)}${more}`,
  development: false,
})

/**
 * The emulator that a file starts once, its K-256 key `k` and its P-256 key `p`, and a proxy of the
 * test's own before it.
 */
export async function openBench() {
  shared ??= makeShared()
  const { emulator, k, p } = await shared
  const proxy = await startKmsProxy(emulator)
  onTestFinished(async () => await proxy.stop())

  function open(limits: Partial<AwsKmsLimits> = {}) {
    const states: string[] = []
    const report = (_place: string, { kind }: { kind: string }) => void states.push(kind)
    const backend = createAwsKmsBackend({ verify, limits, report })
    onTestFinished(async () => await backend.close())
    const openSigner = async (key: KeyConfig) => await backend.openSigner(key, key.uri ?? '')
    return { ...backend, openSigner, states }
  }

  return {
    emulator,
    proxy,
    k: configOf(k, proxy.url),
    p: configOf(p, proxy.url),
    keys: { k, p },
    open,
  }
}
