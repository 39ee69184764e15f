import {
  DescribeKeyCommand,
  GetPublicKeyCommand,
  KMSClient,
  SignCommand,
} from '@aws-sdk/client-kms'
import { KmsFault, faultOf } from './fault.ts'
import type { AwsKmsLimits } from './limits.ts'

/** What AWS KMS says of a key, as it says it; nothing is believed. */
export type KeyDescription = {
  readonly arn: string | null
  readonly spec: string | null
  readonly usage: string | null
  readonly state: string | null
  readonly origin: string | null
  readonly multiRegion: boolean
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
}

export type SignAnswer = {
  readonly arn: string | null
  readonly der: Uint8Array
  readonly requestId: string | null
}

/** One endpoint of AWS KMS. Each call is one request: repeating it is the caller's matter. */
export type KmsClient = {
  /** Tells a caller's credentials of our own door from AWS's. @throws KmsFault */
  checkCredentials(): Promise<void>
  /** @throws KmsFault */
  sign(arn: string, digest: Uint8Array, until: AbortSignal): Promise<SignAnswer>
  /** @throws KmsFault */
  describe(arn: string): Promise<KeyDescription>
  close(): void
}

const NEVER = new AbortController().signal

/** How the access keys begin that Holdfast gives to its own callers. */
const OWN_ACCESS_KEYS = 'HFAK'

export function createKmsClient(
  place: { readonly region: string; readonly endpoint: string },
  limits: AwsKmsLimits,
): KmsClient {
  const client = openSdkClient(place, limits)
  const bounded = (until: AbortSignal = NEVER) => ({
    abortSignal: AbortSignal.any([until, AbortSignal.timeout(limits.requestMs)]),
  })
  return {
    async checkCredentials() {
      const { accessKeyId } = await asFault(client.config.credentials())
      if (accessKeyId.startsWith(OWN_ACCESS_KEYS)) {
        throw new KmsFault(
          'final',
          'AWS_ACCESS_KEY_ID holds a credential that Holdfast gave to a PDS; the service needs its own from AWS',
        )
      }
    },
    async sign(arn, digest, until) {
      const command = new SignCommand({
        KeyId: arn,
        Message: digest,
        MessageType: 'DIGEST',
        SigningAlgorithm: 'ECDSA_SHA_256',
      })
      const answer = await asFault(client.send(command, bounded(until)))
      if (!(answer.Signature instanceof Uint8Array)) {
        throw new KmsFault('lost', 'the answer holds no signature')
      }
      return {
        arn: answer.KeyId ?? null,
        der: answer.Signature,
        requestId: answer.$metadata.requestId ?? null,
      }
    },
    async describe(arn) {
      const [described, shown] = await Promise.all([
        asFault(client.send(new DescribeKeyCommand({ KeyId: arn }), bounded())),
        asFault(client.send(new GetPublicKeyCommand({ KeyId: arn }), bounded())),
      ])
      const metadata = described.KeyMetadata
      return {
        arn: metadata?.Arn ?? null,
        spec: metadata?.KeySpec ?? null,
        usage: metadata?.KeyUsage ?? null,
        state: metadata?.KeyState ?? null,
        origin: metadata?.Origin ?? null,
        multiRegion: metadata?.MultiRegion === true,
        spki: shown.PublicKey ?? new Uint8Array(),
      }
    },
    close: () => client.destroy(),
  }
}

/**
 * Everything that the SDK would otherwise take from `AWS_*` variables or a profile is said here, but
 * for the credentials: an `AWS_ENDPOINT_URL_KMS` that is meant for a PDS would point us at ourselves.
 */
export function openSdkClient(
  { region, endpoint }: { readonly region: string; readonly endpoint: string },
  { connectMs, requestMs, sockets }: Pick<AwsKmsLimits, 'connectMs' | 'requestMs' | 'sockets'>,
): KMSClient {
  const agent = { keepAlive: true, maxSockets: sockets }
  return new KMSClient({
    region,
    endpoint,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    authSchemePreference: [],
    defaultsMode: 'standard',
    retryMode: 'standard',
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: connectMs,
      requestTimeout: requestMs,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
  })
}

async function asFault<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw faultOf(error)
  }
}
