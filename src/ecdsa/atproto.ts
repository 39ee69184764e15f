import { verifySignature } from '@atproto/crypto'
import { isLowS } from '../plc/compact.ts'
import { curveOf } from '../plc/did-key.ts'
import type { EcdsaVerify } from '../plc/signature.ts'

/**
 * Audited JavaScript, slow: for signatures that leave us, and as the yardstick of `native.ts`.
 * Rejects with PlcError `bad-key`; any signature that is not strict is just false.
 */
export const verifyWithAtproto: EcdsaVerify = async (key, bytes, compact) =>
  isLowS(compact, curveOf(key)) && verifySignature(key, bytes, compact)
