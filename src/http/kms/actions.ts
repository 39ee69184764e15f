import { compactToDer } from '../../ecdsa/der.ts'
import { spkiOf } from '../../ecdsa/spki.ts'
import type { Curve } from '../../plc/did-key.ts'
import type { KeyConfig } from '../../policy/policy-set.ts'
import { KmsError, signatureOf } from './errors.ts'
import { ACCOUNT, arnOf, keyIdOf } from './key-name.ts'
import type { KmsCall } from './parse.ts'
import type { SignNow } from '../../custody/sign-now.ts'

export type ActionDeps = {
  /** The keys granted to a caller; none for a caller that policies do not name. Must not do I/O. */
  readonly keysOf: (caller: string) => readonly KeyConfig[]
  readonly signNow: SignNow
}

const KEY_SPECS: Record<Curve, string> = { 'K-256': 'ECC_SECG_P256K1', 'P-256': 'ECC_NIST_P256' }

/** The JSON of the answer, in the shapes of the AWS KMS API reference. @throws KmsError, or what `signNow` throws */
export async function answerKmsCall(
  call: KmsCall,
  caller: string,
  { keysOf, signNow }: ActionDeps,
): Promise<object> {
  const key = findKey(keysOf(caller), keyIdOf(call.keyName))
  switch (call.action) {
    case 'GetPublicKey':
      return publicKey(key)
    case 'DescribeKey':
      return { KeyMetadata: keyMetadata(key) }
    case 'Sign': {
      const compact = signatureOf(await signNow({ caller, key, message: call.message }))
      return {
        KeyId: arnOf(key),
        Signature: toBase64(compactToDer(compact)),
        SigningAlgorithm: 'ECDSA_SHA_256',
      }
    }
  }
}

/** Foreign, unknown and offline keys are the same to a caller, so that it learns of no key but its own. */
function findKey(granted: readonly KeyConfig[], id: string): KeyConfig {
  const key = granted.find((key) => key.id === id && key.class === 'online')
  if (key === undefined) {
    throw new KmsError('NotFoundException', 'no key of this id signs for this caller')
  }
  return key
}

function publicKey(key: KeyConfig): object {
  return { KeyId: arnOf(key), PublicKey: toBase64(spkiOf(key.did)), ...keyFacts(key) }
}

function keyMetadata(key: KeyConfig): object {
  return {
    AWSAccountId: ACCOUNT,
    KeyId: key.id,
    Arn: arnOf(key),
    Enabled: true,
    KeyState: 'Enabled',
    KeyManager: 'CUSTOMER',
    MultiRegion: false,
    ...keyFacts(key),
  }
}

function keyFacts(key: KeyConfig): object {
  const spec = KEY_SPECS[key.curve]
  return {
    KeySpec: spec,
    CustomerMasterKeySpec: spec,
    KeyUsage: 'SIGN_VERIFY',
    SigningAlgorithms: ['ECDSA_SHA_256'],
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
