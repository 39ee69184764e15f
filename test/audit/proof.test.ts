import { describe, expect, test } from 'vitest'
import { AuditError } from '../../src/audit/error.ts'
import { parseVkey } from '../../src/audit/note.ts'
import { formatProof, parseProof, verifyProof } from '../../src/audit/proof.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { entryAt, LARGE, vectors } from './vectors.ts'

const parse = (text: string) => parseProof(Buffer.from(text))
const trust = { keys: [parseVkey(vectors.vkey)], verify: verifyEd25519 }
const entry = entryAt(vectors.proofIndex)

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof AuditError) return error.code
    throw error
  }
  return 'none'
}

test('what the Go tools wrote is read, proves its entry, and is written the same', () => {
  for (const text of [vectors.proof, vectors.proofWithExtra]) {
    const proof = parse(text)
    expect(proof.index).toBe(vectors.proofIndex)
    expect(verifyProof(proof, entry, trust).size).toBe(LARGE)
    expect(formatProof(proof)).toBe(text)
  }
  expect(Buffer.from(parse(vectors.proofWithExtra).extra!).toString()).toBe('receipt')
})

describe('a proof holds for nothing else', () => {
  const proof = parse(vectors.proof)

  test.each([
    ['another entry', proof, entryAt(1), 'malformed'],
    ['another index', { ...proof, index: proof.index + 1 }, entry, 'malformed'],
    ['a shorter path', { ...proof, hashes: proof.hashes.slice(1) }, entry, 'malformed'],
    [
      'a checkpoint that was changed',
      { ...proof, checkpoint: proof.checkpoint.replace('70000', '70001') },
      entry,
      'bad-signature',
    ],
  ])('%s', (_, claim, bytes, code) => {
    expect(codeOf(() => verifyProof(claim, bytes, trust))).toBe(code)
  })

  test('nor under a key that is not trusted', () => {
    const stranger = { ...trust, keys: [parseVkey(vectors.witness)] }
    expect(codeOf(() => verifyProof(proof, entry, stranger))).toBe('untrusted')
  })
})

test.each([
  ['nothing', ''],
  ['another version', vectors.proof.replace('@v1', '@v2')],
  ['no index', vectors.proof.replace('index 69888\n', '')],
  ['a leading zero', vectors.proof.replace('index 69888', 'index 069888')],
  ['extra after the index', vectors.proofWithExtra.replace(/(extra .*)\n(index .*)/, '$2\n$1')],
  ['a hash that is cut', vectors.proof.replace(/(index .*\n).{4}/, '$1')],
  [
    'more hashes than any tree has levels',
    vectors.proof.replace(/(index .*\n)(.*\n)/, `$1${'$2'.repeat(54)}`),
  ],
  ['no checkpoint', vectors.proof.slice(0, vectors.proof.indexOf('\n\n'))],
])('no proof: %s', (_, text) => {
  expect(codeOf(() => parse(text))).toBe('malformed')
})
