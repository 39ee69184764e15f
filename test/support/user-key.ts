import { Secp256k1Keypair } from '@atproto/crypto'

/** A key of somebody else than us. */
export type UserKey = {
  readonly did: string
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>
}

export async function generateKeyPair(): Promise<UserKey> {
  const pair = await Secp256k1Keypair.create()
  return { did: pair.did(), sign: async (bytes) => await pair.sign(bytes) }
}
