import { openPrivateKey } from '../../../src/ecdsa/private-key.ts'
import type { Curve } from '../../../src/plc/did-key.ts'

/** The test vectors of the did:key method, and of RFC 6979 on secp256k1 as Bitcoin's libraries share it. */
const KEYS: readonly (readonly [Curve, string, string])[] = [
  [
    'K-256',
    '9085d2bef69286a6cbb51623c8fa258629945cd55ca705cc4e66700396894e0c',
    'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme',
  ],
  [
    'K-256',
    'f0f4df55a2b3ff13051ea814a8f24ad00f2e469af73c363ac7e9fb999a9072ed',
    'did:key:zQ3shtxV1FrJfhqE1dvxYRcCknWNjHc3c5X1y3ZSoPDi2aur2',
  ],
  [
    'K-256',
    '175a232d440be1e0788f25488a73d9416c04b6f924bea6354bf05dd2f1a75133',
    'did:key:zQ3shptjE6JwdkeKN4fcpnYQY3m9Cet3NiHdAfpvSUZBFoKBj',
  ],
  [
    'P-256',
    '82ebbd63ebbd9ff60141a69bd4c9be282f2415e8eafa9d42c0ed396daccca979',
    'did:key:zDnaeTiq1PdzvZXUaMdezchcMJQpBdH2VN4pgrrEhMCCbmwSb',
  ],
]
const SIGNATURE = {
  secret: '0'.repeat(63) + '1',
  message: 'Satoshi Nakamoto',
  compact:
    '934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8' +
    '2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5',
}

/** Before any key is made or used: this machine derives and signs as everybody does. @throws Error */
export async function checkKnownAnswers(): Promise<void> {
  for (const [curve, secret, did] of KEYS) {
    const key = await openPrivateKey(curve, bytes(secret))
    if (key.did !== did) throw new Error(`self-test: ${key.did} was derived instead of ${did}`)
  }
  const key = await openPrivateKey('K-256', bytes(SIGNATURE.secret))
  const signature = await key.sign(Buffer.from(SIGNATURE.message, 'utf8'))
  if (Buffer.compare(signature, bytes(SIGNATURE.compact)) !== 0) {
    throw new Error('self-test: another signature than RFC 6979 gives')
  }
}

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
