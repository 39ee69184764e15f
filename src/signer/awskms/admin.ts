import {
  constants,
  createECDH,
  createPrivateKey,
  createPublicKey,
  publicEncrypt,
} from 'node:crypto'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  GetParametersForImportCommand,
  GetPublicKeyCommand,
  ImportKeyMaterialCommand,
  ListKeysCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms'
import type { KMSClient } from '@aws-sdk/client-kms'
import { formatDidKey } from '../../plc/did-key.ts'
import type { Curve } from '../../plc/did-key.ts'
import { derToCompact } from '../../ecdsa/der.ts'
import { normaliseS } from '../../ecdsa/release.ts'
import { probeDigest } from '../pkcs11/probe.ts'
import { SignerError } from '../signer.ts'
import { createKmsClient, openSdkClient } from './client.ts'
import { faultOf } from './fault.ts'
import { KEY_SPECS, problemOf } from './key-check.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { formatAwsKmsUri } from './uri.ts'
import type { AwsKmsPlace, AwsKmsUri } from './uri.ts'

// Commands only, with an administrator's credentials: the service's own may do none of this.

export type KmsKeyFound = {
  readonly name: string
  readonly did: string
  readonly uri: string
}

/** Names keys for people; nothing is ever signed by an alias. */
const ALIAS_PREFIX = 'alias/holdfast-'
/** RSAES-OAEP with 4096 bits takes 446 bytes; a private key in PKCS#8 has about 140. */
const WRAPPING = { WrappingKeySpec: 'RSA_4096', WrappingAlgorithm: 'RSAES_OAEP_SHA_256' } as const
/** The longest that AWS offers is 30. */
const DELETION_DAYS = 7

/**
 * Makes a key in AWS KMS that signs and does nothing else. Its private half never leaves.
 * @returns null when the name is taken; nothing is made then
 * @throws SignerError
 */
export async function createKmsKey(
  place: AwsKmsPlace,
  { name, curve }: { readonly name: string; readonly curve: Curve },
): Promise<KmsKeyFound | null> {
  return await withClient(place, async (client) => {
    if (await isTaken(client, name)) return null
    const arn = await makeKey(client, { name, curve, origin: 'AWS_KMS' })
    await nameKey(client, arn, name)
    return await found(client, place, { arn, curve, name })
  })
}

/**
 * Puts a private key that exists elsewhere into AWS KMS, encrypted to a wrapping key of AWS's. Its
 * durability stays the owner's matter, and a key that has been outside stays exposed.
 * @param key.secret 32 bytes; the caller wipes its own copy
 * @returns null when the name is taken; nothing is made then
 * @throws SignerError; a key without material is left behind for deletion
 */
export async function importKmsKey(
  place: AwsKmsPlace,
  key: { readonly name: string; readonly curve: Curve; readonly secret: Uint8Array },
): Promise<KmsKeyFound | null> {
  return await withClient(place, async (client) => {
    if (await isTaken(client, key.name)) return null
    const arn = await makeKey(client, { ...key, origin: 'EXTERNAL' })
    try {
      await importMaterial(client, arn, key)
      await nameKey(client, arn, key.name)
    } catch (error) {
      const end = new ScheduleKeyDeletionCommand({ KeyId: arn, PendingWindowInDays: DELETION_DAYS })
      await client.send(end).catch(() => undefined)
      throw error
    }
    return await found(client, place, { arn, ...key })
  })
}

/** Every key of the place that can be a rotation key: of one of the two curves, for signing. */
export async function listKmsKeys(place: AwsKmsPlace): Promise<KmsKeyFound[]> {
  return await withClient(place, async (client) => {
    const keys: KmsKeyFound[] = []
    for await (const arn of allKeys(client)) {
      const { KeyMetadata: metadata } = await client.send(new DescribeKeyCommand({ KeyId: arn }))
      const curve = curveOfSpec(metadata?.KeySpec)
      if (curve === null || metadata?.KeyUsage !== 'SIGN_VERIFY') continue
      if (metadata.KeyState !== 'Enabled') continue
      const name = metadata.Description ?? ''
      keys.push(await found(client, place, { arn, curve, name }))
    }
    return keys
  })
}

export type KmsKeyReport = {
  readonly problems: readonly string[]
  readonly remarks: readonly string[]
}

/** Whether AWS KMS holds the pinned key and would sign with it. Never uses it. */
export async function checkKmsKey(
  uri: AwsKmsUri,
  key: { readonly curve: Curve; readonly did: string },
): Promise<KmsKeyReport> {
  const client = createKmsClient(uri, DEFAULT_LIMITS)
  try {
    await client.checkCredentials()
    const described = await client.describe(uri.arn)
    const problem = problemOf(key, uri.arn, described)
    const imported = described.origin === 'EXTERNAL'
    return {
      problems: problem === null ? [] : [problem.message],
      remarks: [
        ...(described.multiRegion ? ['a multi-Region key: its replicas sign as well'] : []),
        ...(imported
          ? ['its material was imported: AWS keeps no copy that you could rely on']
          : []),
      ],
    }
  } catch (error) {
    return { problems: [faultOf(error).message], remarks: [] }
  } finally {
    client.close()
  }
}

/** Signs the probe of a challenge, and nothing else: that the key is there. r‖s, low-S. @throws SignerError */
export async function proveKmsKey(
  uri: AwsKmsUri,
  curve: Curve,
  challenge: Uint8Array,
): Promise<Uint8Array> {
  const client = createKmsClient(uri, DEFAULT_LIMITS)
  try {
    await client.checkCredentials()
    const until = AbortSignal.timeout(DEFAULT_LIMITS.requestMs)
    const { der } = await client.sign(uri.arn, probeDigest(challenge), until)
    return normaliseS(curve, derToCompact(der))
  } catch (error) {
    throw new SignerError('unavailable', faultOf(error).message, { cause: error })
  } finally {
    client.close()
  }
}

async function withClient<T>(
  place: AwsKmsPlace,
  work: (client: KMSClient) => Promise<T>,
): Promise<T> {
  const client = openSdkClient(place, { ...DEFAULT_LIMITS, requestMs: 10_000 })
  try {
    return await work(client)
  } catch (error) {
    if (error instanceof SignerError) throw error
    const fault = faultOf(error)
    const code = fault.kind === 'final' ? 'key-unusable' : 'unavailable'
    throw new SignerError(code, `AWS KMS: ${fault.message}`, { cause: error })
  } finally {
    client.destroy()
  }
}

async function isTaken(client: KMSClient, name: string): Promise<boolean> {
  try {
    await client.send(new DescribeKeyCommand({ KeyId: `${ALIAS_PREFIX}${name}` }))
    return true
  } catch (error) {
    if (error instanceof Error && error.name === 'NotFoundException') return false
    throw error
  }
}

async function makeKey(
  client: KMSClient,
  key: { readonly name: string; readonly curve: Curve; readonly origin: 'AWS_KMS' | 'EXTERNAL' },
): Promise<string> {
  const { KeyMetadata: metadata } = await client.send(
    new CreateKeyCommand({
      KeySpec: KEY_SPECS[key.curve],
      KeyUsage: 'SIGN_VERIFY',
      Origin: key.origin,
      Description: key.name,
    }),
  )
  if (metadata?.Arn === undefined) throw new SignerError('unavailable', 'AWS KMS named no key')
  return metadata.Arn
}

async function nameKey(client: KMSClient, arn: string, name: string): Promise<void> {
  const AliasName = `${ALIAS_PREFIX}${name}`
  await client.send(new CreateAliasCommand({ AliasName, TargetKeyId: arn }))
}

async function importMaterial(
  client: KMSClient,
  arn: string,
  key: { readonly curve: Curve; readonly secret: Uint8Array },
): Promise<void> {
  const parameters = await client.send(
    new GetParametersForImportCommand({ KeyId: arn, ...WRAPPING }),
  )
  const wrapping = createPublicKey({
    key: Buffer.from(parameters.PublicKey ?? []),
    format: 'der',
    type: 'spki',
  })
  const material = pkcs8Of(key)
  try {
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    await client.send(
      new ImportKeyMaterialCommand({
        KeyId: arn,
        ImportToken: parameters.ImportToken,
        EncryptedKeyMaterial: publicEncrypt(
          { key: wrapping, padding, oaepHash: 'sha256' },
          material,
        ),
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      }),
    )
  } finally {
    material.fill(0)
  }
}

const NODE_CURVES = { 'K-256': 'secp256k1', 'P-256': 'prime256v1' } as const
const JWK_CURVES = { 'K-256': 'secp256k1', 'P-256': 'P-256' } as const

function pkcs8Of({ curve, secret }: { readonly curve: Curve; readonly secret: Uint8Array }) {
  const ecdh = createECDH(NODE_CURVES[curve])
  ecdh.setPrivateKey(secret)
  const point = ecdh.getPublicKey()
  const jwk = {
    kty: 'EC',
    crv: JWK_CURVES[curve],
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
    d: Buffer.from(secret).toString('base64url'),
  }
  return createPrivateKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'pkcs8' })
}

async function found(
  client: KMSClient,
  place: AwsKmsPlace,
  { arn, curve, name }: { readonly arn: string; readonly curve: Curve; readonly name: string },
): Promise<KmsKeyFound> {
  const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId: arn }))
  // SubjectPublicKeyInfo ends with the uncompressed point; `formatDidKey` refuses what is not on the curve.
  const did = formatDidKey(curve, Uint8Array.from(PublicKey ?? []).subarray(-65))
  return { name, did, uri: formatAwsKmsUri(arn, place) }
}

function curveOfSpec(spec: string | undefined): Curve | null {
  const known = Object.entries(KEY_SPECS).find(([, name]) => name === spec)
  return known === undefined ? null : (known[0] as Curve)
}

async function* allKeys(client: KMSClient): AsyncGenerator<string> {
  let Marker: string | undefined
  do {
    const page = await client.send(new ListKeysCommand(Marker === undefined ? {} : { Marker }))
    for (const { KeyArn } of page.Keys ?? []) if (KeyArn !== undefined) yield KeyArn
    Marker = page.Truncated === true ? page.NextMarker : undefined
  } while (Marker !== undefined)
}
