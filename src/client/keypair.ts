import type { KeyView } from '../api/key.ts'
import type { RequestView } from '../api/request.ts'

/** The interface `Keypair` of `@atproto/crypto`, written out so that its users need no package of ours. */
export type HoldfastKeypair = {
  /** ES256K for K-256, ES256 for P-256. */
  readonly jwtAlg: string
  did(): string
  /**
   * Signs one canonical unsigned PLC operation, if the policy allows it; every other message is
   * refused. Proposes and signs; the same message gets the same signature again.
   * @returns r‖s, 64 bytes, low-S
   * @throws ApiError; SignatureError when people have to approve first
   */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** There is no signature yet; `requestId` names what is waited for. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError'
  readonly requestId: string

  constructor(requestId: string, message: string) {
    super(message)
    this.requestId = requestId
  }
}

export function createKeypair(
  key: KeyView,
  api: {
    propose(proposal: { key: string; unsigned: string }): Promise<RequestView>
    sign(id: string): Promise<RequestView>
  },
): HoldfastKeypair {
  return {
    jwtAlg: key.curve === 'K-256' ? 'ES256K' : 'ES256',
    did: () => key.did,
    async sign(message) {
      const unsigned = Buffer.from(message).toString('base64')
      const proposed = await api.propose({ key: key.id, unsigned })
      const { id, state, signature } =
        proposed.signature === null ? await api.sign(proposed.id) : proposed
      if (signature !== null) return new Uint8Array(Buffer.from(signature, 'base64url'))
      throw new SignatureError(id, `request ${id} is ${state}: it has no signature yet`)
    },
  }
}
