import { describe, expect, test } from 'vitest'
import {
  checkpointText,
  openCheckpoint,
  parseCheckpointText,
  signCheckpoint,
} from '../../src/audit/checkpoint.ts'
import { AuditError } from '../../src/audit/error.ts'
import { ED25519, formatNote, noteKey, parseVkey, signNote } from '../../src/audit/note.ts'
import { openEd25519, verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { fromBase64, LARGE, vectors } from './vectors.ts'

const { publicKey, sign } = openEd25519(fromBase64(vectors.seed))
const key = noteKey(vectors.origin, ED25519, publicKey)
const root = fromBase64(vectors.roots.find(({ size }) => size === LARGE)!.root)
const checkpoint = { origin: vectors.origin, size: LARGE, root }
const open = (note: string, keys = [key]) => openCheckpoint(Buffer.from(note), keys, verifyEd25519)

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof AuditError) return error.code
    throw error
  }
  return 'none'
}

test('is signed as the Go tools sign it, byte for byte', () => {
  expect(signCheckpoint(checkpoint, { key, sign })).toBe(vectors.checkpoint)
})

test('what the Go tools signed is opened, with size and root', () => {
  expect(open(vectors.checkpoint)).toEqual({ ...checkpoint, cosignatures: [] })
})

test('a cosignature counts for the witness that was asked for', () => {
  const { cosignatures } = open(vectors.cosigned, [key, parseVkey(vectors.witness)])
  expect(cosignatures).toEqual([{ key: parseVkey(vectors.witness), time: expect.any(Number) }])
  expect(open(vectors.cosigned).cosignatures).toEqual([])
})

test('a witness alone makes no checkpoint', () => {
  expect(codeOf(() => open(vectors.cosigned, [parseVkey(vectors.witness)]))).toBe('untrusted')
})

test('a key of another log makes no checkpoint of this one', () => {
  const other = noteKey('other.example/log', ED25519, publicKey)
  expect(codeOf(() => signCheckpoint(checkpoint, { key: other, sign }))).toBe('malformed')
  const text = checkpointText(checkpoint)
  const note = formatNote(text, [signNote(text, other, sign)])
  expect(codeOf(() => open(note, [key, other]))).toBe('untrusted')
})

describe('has three lines in one form', () => {
  const [origin, size, hash] = checkpointText(checkpoint).split('\n')

  test('which are read as they were written', () => {
    expect(parseCheckpointText(checkpointText(checkpoint))).toEqual(checkpoint)
    const empty = { ...checkpoint, size: 0 }
    expect(parseCheckpointText(checkpointText(empty))).toEqual(empty)
  })

  test.each([
    ['no origin', `\n${size}\n${hash}\n`],
    ['a line more', `${origin}\n${size}\n${hash}\nextension\n`],
    ['a line less', `${origin}\n${size}\n`],
    ['a leading zero', `${origin}\n0${size}\n${hash}\n`],
    ['a sign', `${origin}\n+${size}\n${hash}\n`],
    ['a size that no number holds', `${origin}\n9007199254740993\n${hash}\n`],
    ['a size in hexadecimal', `${origin}\n0x11170\n${hash}\n`],
    ['a root that is cut', `${origin}\n${size}\n${hash?.slice(0, 40)}\n`],
    ['a root with stray bits', `${origin}\n${size}\n${hash?.replace('o=', 'p=')}\n`],
    ['no root', `${origin}\n${size}\n\n`],
  ])('not with %s', (_, text) => {
    expect(codeOf(() => parseCheckpointText(text))).toBe('malformed')
  })

  test.each([
    ['an origin of two lines', { origin: 'a\nb' }],
    ['a size that is none', { size: -1 }],
    ['half an entry', { size: 1.5 }],
    ['a root that is cut', { root: root.subarray(1) }],
  ])('and nothing else is signed: %s', (_, change) => {
    expect(codeOf(() => signCheckpoint({ ...checkpoint, ...change }, { key, sign }))).toBe(
      'malformed',
    )
  })
})
