import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  GetPublicKeyCommand,
  KMSClient,
  ReplicateKeyCommand,
  SignCommand,
} from '@aws-sdk/client-kms'
import { createPublicKey } from 'node:crypto'
import { formatDidKey } from '../../../src/plc/did-key.ts'
import type { Curve } from '../../../src/plc/did-key.ts'

const program = fileURLToPath(new URL('venv/bin/ministack', import.meta.url))

export const REGION = 'eu-central-1'
/** The emulator's root user: it checks signatures, and this is the pair that it knows. */
export const ADMIN = { accessKeyId: 'test', secretAccessKey: 'test' }

/** For a service in this process: the SDK reads them from the environment. */
export function useAdminCredentials(): void {
  process.env['AWS_ACCESS_KEY_ID'] = ADMIN.accessKeyId
  process.env['AWS_SECRET_ACCESS_KEY'] = ADMIN.secretAccessKey
}

const SPECS = { 'K-256': 'ECC_SECG_P256K1', 'P-256': 'ECC_NIST_P256' } as const

/** Why tests that need the emulator cannot run here; null when they can. */
export function missingForKms(): string | null {
  return existsSync(program) ? null : 'ministack, which npm test installs with python3-venv'
}

export type KmsEmulator = Awaited<ReturnType<typeof startKmsEmulator>>

/**
 * AWS KMS as ministack emulates it: written by others, in another language, with OpenSSL's ECDSA. It
 * checks SigV4 and answers with real signatures, in DER, high S as often as low S.
 */
export async function startKmsEmulator() {
  const port = await freePort()
  // It ends with us, however we end: `cat` sees the end of our pipe.
  const script = '"$1" & pid=$!; trap "kill $pid" EXIT; cat >/dev/null'
  const child = spawn('sh', ['-c', script, 'sh', program], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: {
      PATH: process.env['PATH'],
      AUTH: 'true',
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      IOT_MTLS_ENABLED: '0',
      SFTP_ENABLED: '0',
      LOG_LEVEL: 'ERROR',
    },
  })
  const url = `http://127.0.0.1:${port}`
  await untilReady(url)
  const client = new KMSClient({
    region: REGION,
    endpoint: url,
    credentials: ADMIN,
    useFipsEndpoint: false,
  })
  return {
    url,
    client,
    makeKey: async (curve: Curve, { multiRegion = false } = {}) =>
      await makeKey(client, curve, multiRegion),
    /** The same key, as another Region has it. */
    async replicate(key: KmsKey, region: string): Promise<KmsKey> {
      await client.send(new ReplicateKeyCommand({ KeyId: key.arn, ReplicaRegion: region }))
      return { ...key, arn: key.arn.replace(REGION, region) }
    },
    /** One digest, as the SDK sends it. */
    sign: async (arn: string, digest: Uint8Array) =>
      await client.send(
        new SignCommand({
          KeyId: arn,
          Message: digest,
          MessageType: 'DIGEST',
          SigningAlgorithm: 'ECDSA_SHA_256',
        }),
      ),
    disable: async (arn: string) => await client.send(new DisableKeyCommand({ KeyId: arn })),
    enable: async (arn: string) => await client.send(new EnableKeyCommand({ KeyId: arn })),
    async stop() {
      client.destroy()
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.stdin.end()
      await ended
    },
  }
}

export type KmsKey = { readonly arn: string; readonly did: string; readonly curve: Curve }

async function makeKey(client: KMSClient, curve: Curve, multiRegion: boolean): Promise<KmsKey> {
  const usage = { KeySpec: SPECS[curve], KeyUsage: 'SIGN_VERIFY' } as const
  const input = { ...usage, MultiRegion: multiRegion }
  const { KeyMetadata } = await client.send(new CreateKeyCommand(input))
  const arn = KeyMetadata?.Arn ?? ''
  return { arn, curve, did: await didOf(client, arn, curve) }
}

/** The did:key as OpenSSL reads the SPKI, not as our own code does. */
export async function didOf(client: KMSClient, arn: string, curve: Curve): Promise<string> {
  const { PublicKey = new Uint8Array() } = await client.send(
    new GetPublicKeyCommand({ KeyId: arn }),
  )
  const key = createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' })
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  const halves = [x, y].map((half) => Buffer.from(half, 'base64url'))
  return formatDidKey(curve, Buffer.concat([Buffer.of(4), ...halves]))
}

async function untilReady(url: string): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    const answer = await fetch(`${url}/_ministack/ready`).catch(() => null)
    if (answer?.ok === true) return
    await sleep(50)
  }
  throw new Error('the KMS emulator does not start')
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
