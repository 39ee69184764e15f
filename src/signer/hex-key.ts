import { curveOrder } from '../plc/compact.ts'
import type { Curve } from '../plc/did-key.ts'
import { SignerError } from './signer.ts'

const HEX_DIGITS = 64
/** 64 digits and the end of their line, as `echo` and editors leave it. */
export const MAX_HEX_BYTES = HEX_DIGITS + 2

/**
 * A private key as a PDS keeps it: 64 hexadecimal digits, a number from 1 to n-1. The digits stay in
 * buffers, which can be cleared, and are in no message.
 * @returns 32 bytes; whoever has them clears them
 * @throws SignerError `key-unusable`
 */
export function parsePrivateKeyHex(text: Uint8Array, curve: Curve): Buffer {
  const secret = Buffer.alloc(HEX_DIGITS / 2)
  try {
    readDigits(text, secret)
    if (Buffer.compare(secret, curveOrder(curve)) >= 0 || secret.every((byte) => byte === 0)) {
      throw new SignerError('key-unusable', `this is not a private key of ${curve}: out of range`)
    }
    return secret
  } catch (error) {
    secret.fill(0)
    throw error
  }
}

function readDigits(text: Uint8Array, secret: Buffer): void {
  const rest = Buffer.from(text.buffer, text.byteOffset, text.byteLength).subarray(HEX_DIGITS)
  const ended = rest.length === 0 || rest.equals(LF) || rest.equals(CRLF)
  const digits = Array.from(text.subarray(0, HEX_DIGITS), hexValue)
  if (!ended || digits.length !== HEX_DIGITS || digits.includes(-1)) {
    throw new SignerError('key-unusable', `a private key is ${HEX_DIGITS} hexadecimal digits`)
  }
  for (let index = 0; index < secret.length; index += 1) {
    secret[index] = ((digits[2 * index] ?? 0) << 4) | (digits[2 * index + 1] ?? 0)
  }
  digits.fill(0)
}

const LF = Buffer.from('\n')
const CRLF = Buffer.from('\r\n')

function hexValue(character: number): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30
  const lower = character | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1
}
