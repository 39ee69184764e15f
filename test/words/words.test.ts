import * as fc from 'fast-check'
import { entropyToMnemonic } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { describe, expect, test } from 'vitest'
import { digestWords, firstWrongWord, MAX_WORDS, readWords } from '../../src/words/words.ts'

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'))
const anyDigest = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('the words of a digest', () => {
  // The 32-byte vectors that the BIP-39 specification publishes.
  test.each([
    { digest: '00'.repeat(32), words: `${'abandon '.repeat(23)}art` },
    { digest: 'ff'.repeat(32), words: `${'zoo '.repeat(23)}vote` },
    {
      digest: '7f'.repeat(32),
      words: `${'legal winner thank year wave sausage worth useful '.repeat(2)}legal winner thank year wave sausage worth title`,
    },
    {
      digest: '80'.repeat(32),
      words: `${'letter advice cage absurd amount doctor acoustic avoid '.repeat(2)}letter advice cage absurd amount doctor acoustic bless`,
    },
    {
      digest: '68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c',
      words:
        'hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length',
    },
    {
      digest: '9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863',
      words:
        'panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich alcohol speed nation flash devote level hobby quick inner drive ghost inside',
    },
    {
      digest: '066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad',
      words:
        'all hour make first leader extend hole alien behind guard gospel lava path output census museum junior mass reopen famous sing advance salt reform',
    },
    {
      digest: 'f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f',
      words:
        'void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold',
    },
  ])('$digest', ({ digest, words }) => {
    expect(digestWords(bytes(digest), MAX_WORDS).join(' ')).toBe(words)
  })

  test('are those of another implementation for any digest', () => {
    fc.assert(
      fc.property(anyDigest, (digest) => {
        expect(digestWords(digest, MAX_WORDS).join(' ')).toBe(entropyToMnemonic(digest, wordlist))
      }),
    )
  })

  test('fewer words are the first of all', () => {
    fc.assert(
      fc.property(anyDigest, fc.integer({ min: 1, max: MAX_WORDS }), (digest, count) => {
        const all = digestWords(digest, MAX_WORDS)
        expect(digestWords(digest, count)).toEqual(all.slice(0, count))
      }),
    )
  })

  test('any changed bit changes them', () => {
    fc.assert(
      fc.property(anyDigest, fc.integer({ min: 0, max: 255 }), (digest, bit) => {
        const other = Uint8Array.from(digest)
        other[bit >> 3]! ^= 0x80 >> (bit & 7)
        expect(digestWords(other, MAX_WORDS)).not.toEqual(digestWords(digest, MAX_WORDS))
        const seen = Math.floor(bit / 11) + 1
        expect(digestWords(other, seen)).not.toEqual(digestWords(digest, seen))
      }),
    )
  })

  test.each([
    { what: 'a digest of 31 bytes', digest: new Uint8Array(31), count: 4 },
    { what: 'a digest of 33 bytes', digest: new Uint8Array(33), count: 4 },
    { what: 'no words', digest: new Uint8Array(32), count: 0 },
    { what: '25 words', digest: new Uint8Array(32), count: 25 },
    { what: 'half a word', digest: new Uint8Array(32), count: 1.5 },
  ])('$what are refused', ({ digest, count }) => {
    expect(() => digestWords(digest, count)).toThrow(RangeError)
  })
})

describe('typed words', () => {
  const expected = ['legal', 'winner', 'thank']

  test.each(['legal winner thank', ' LEGAL\twinner\n thank ', '1. legal 2. winner 3) thank'])(
    '%j are right',
    (typed) => {
      expect(firstWrongWord(typed, expected)).toBeNull()
    },
  )

  test.each([
    { typed: 'legal winner', wrong: 3 },
    { typed: 'legal winer thank', wrong: 2 },
    { typed: 'winner legal thank', wrong: 1 },
    { typed: 'legal winner thank year', wrong: 4 },
    { typed: 'y', wrong: 1 },
    { typed: '', wrong: 1 },
  ])('$typed: word $wrong is wrong', ({ typed, wrong }) => {
    expect(firstWrongWord(typed, expected)).toBe(wrong)
  })

  test('nothing typed is no word', () => {
    expect(readWords(' \n')).toEqual([])
  })
})
