import { hash } from 'node:crypto'
import { wordlist } from '@scure/bip39/wordlists/english.js'

const DIGEST_BYTES = 32
const BITS_A_WORD = 11
/** 256 bits of the digest, then 8 of a checksum. */
export const MAX_WORDS = 24

/**
 * A digest as people read it aloud and type it: the first `count` words of its 24 after BIP-39
 * (English), 11 bits a word, the most significant first. The 24th holds the last 3 bits and a checksum
 * of 8, so all 24 name exactly one digest. They commit to something public: they are no secret and no
 * wallet.
 * @param digest 32 bytes
 * @param count 1..24
 * @throws RangeError
 */
export function digestWords(digest: Uint8Array, count: number): string[] {
  if (digest.length !== DIGEST_BYTES) throw new RangeError(`a digest is ${DIGEST_BYTES} bytes`)
  if (!Number.isInteger(count) || count < 1 || count > MAX_WORDS) {
    throw new RangeError(`a digest has 1 to ${MAX_WORDS} words`)
  }
  const checksum = hash('sha256', digest, 'buffer').subarray(0, 1)
  const bits = BigInt(`0x${Buffer.concat([digest, checksum]).toString('hex')}`)
  return Array.from({ length: count }, (_, index) => {
    const shift = BigInt(BITS_A_WORD * (MAX_WORDS - 1 - index))
    return wordlist[Number((bits >> shift) & 2047n)] ?? ''
  })
}

/** What a person typed for words: in any case, with any space, numbered (`1. abandon`) or not. */
export function readWords(typed: string): string[] {
  const parts = typed.normalize('NFKD').trim().toLowerCase().split(/\s+/)
  return parts.map((part) => part.replace(/^\d+[.)]/, '')).filter((part) => part !== '')
}

/**
 * The number (from 1) of the first typed word that is another, is missing or is one too many; null
 * when all are right. Not in constant time: the words are public.
 */
export function firstWrongWord(typed: string, expected: readonly string[]): number | null {
  const words = readWords(typed)
  const length = Math.max(words.length, expected.length)
  for (let index = 0; index < length; index += 1) {
    if (words[index] !== expected[index]) return index + 1
  }
  return null
}
