import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AuditError } from '../../src/audit/error.ts'
import {
  ED25519,
  formatNote,
  formatVkey,
  MAX_NOTE_BYTES,
  noteKey,
  parseNote,
  parseVkey,
  signNote,
  verifyNote,
} from '../../src/audit/note.ts'
import { openEd25519, verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { fromBase64, vectors } from './vectors.ts'

const signer = openEd25519(fromBase64(vectors.seed))
const key = noteKey(vectors.origin, ED25519, signer.publicKey)
const witness = parseVkey(vectors.witness)
const bytes = (text: string) => Buffer.from(text)
const check = (note: string, keys = [key]) =>
  verifyNote(parseNote(bytes(note)), keys, verifyEd25519)

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (error instanceof AuditError) return error.code
    throw error
  }
  return 'none'
}

describe('as the Go tools have it', () => {
  test('a vkey', () => {
    expect(formatVkey(key)).toBe(vectors.vkey)
    expect(parseVkey(vectors.vkey)).toEqual(key)
    expect(formatVkey(witness)).toBe(vectors.witness)
  })

  test('a signed note, byte for byte', () => {
    const { text } = parseNote(bytes(vectors.checkpoint))
    expect(formatNote(text, [signNote(text, key, signer.sign)])).toBe(vectors.checkpoint)
  })

  test('a note that a witness has cosigned, with the time', () => {
    const verified = check(vectors.cosigned, [key, witness])
    expect(verified.map(({ key: { name } }) => name)).toEqual([key.name, witness.name])
    expect(verified[1]?.time).toBeGreaterThan(1_700_000_000)
  })

  test('a note whose text has empty lines, as in the specification', () => {
    const note =
      'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n' +
      '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n'
    expect(parseNote(bytes(note)).text).toContain('\n\ned è subito sera.\n')
  })
})

describe('which signatures count', () => {
  test('a key that is not known is passed over', () => {
    expect(check(vectors.withStranger).map(({ key: { name } }) => name)).toEqual([key.name])
    expect(check(vectors.cosigned)).toHaveLength(1)
  })

  test('with no known key among them the note is refused', () => {
    expect(codeOf(() => check(vectors.checkpoint, [witness]))).toBe('untrusted')
    expect(codeOf(() => check(vectors.checkpoint, []))).toBe('untrusted')
  })

  test('a key with the same name and another id is another key', () => {
    const other = noteKey(vectors.origin, ED25519, openEd25519(Buffer.alloc(32, 1)).publicKey)
    expect(codeOf(() => check(vectors.checkpoint, [other]))).toBe('untrusted')
  })

  test('a known key whose signature fails refuses the whole note', () => {
    const forged = vectors.cosigned.replace('70000', '70001')
    expect(codeOf(() => check(forged, [key, witness]))).toBe('bad-signature')
    const [text = '', lines = ''] = vectors.cosigned.split(/(?<=\n)\n/)
    const broken = `${text}\n${lines.replace(/^(— witness.* )(.{40})./m, '$1$2A')}`
    expect(codeOf(() => check(broken, [key]))).toBe('none')
    expect(codeOf(() => check(broken, [key, witness]))).toBe('bad-signature')
  })

  test('a cosignature is over its time too', () => {
    const note = parseNote(bytes(vectors.cosigned))
    const signatures = note.signatures.map((signature) => {
      const payload = Uint8Array.from(signature.payload)
      if (signature.name === witness.name) payload[7]! ^= 1
      return { ...signature, payload }
    })
    const forged = { ...note, signatures }
    expect(codeOf(() => verifyNote(forged, [witness], verifyEd25519))).toBe('bad-signature')
  })

  test('a signature that is cut does not verify', () => {
    const note = parseNote(bytes(vectors.checkpoint))
    const cut = note.signatures.map((line) => ({ ...line, payload: line.payload.subarray(0, 63) }))
    expect(codeOf(() => verifyNote({ ...note, signatures: cut }, [key], verifyEd25519))).toBe(
      'bad-signature',
    )
  })
})

describe('what is no note', () => {
  const line = vectors.checkpoint.split('\n').at(-2)!
  const rest = line.split(' ')[2]!

  test.each([
    ['nothing', ''],
    ['no empty line', `text\n${line}\n`],
    ['no signature', 'text\n\n'],
    ['no newline at the end', `text\n\n${line}`],
    ['a hyphen for the dash', `text\n\n${line.replace('—', '-')}\n`],
    ['a tab', `te\txt\n\n${line}\n`],
    ['a carriage return', `text\r\n\n${line}\n`],
    ['a zero byte', `te\0xt\n\n${line}\n`],
    ['an empty name', `text\n\n—  ${rest}\n`],
    ['a plus in a name', `text\n\n— a+b ${rest}\n`],
    ['a Unicode space in a name', `text\n\n— a\u2003b ${rest}\n`],
    ['no padding', `text\n\n— name ${rest.replaceAll('=', '')}\n`],
    ['base64 with stray bits', `text\n\n— name AAAAAAB=\n`],
    ['base64 for URLs', `text\n\n— name ${rest.replaceAll(/[+/]/g, '-')}\n`],
    ['a signature without bytes', 'text\n\n— name AAAAAA==\n'],
    ['text after the signatures', `text\n\n${line}\nmore\n`],
  ])('%s', (_, note) => {
    expect(codeOf(() => parseNote(bytes(note)))).toBe('malformed')
  })

  test('bytes that are not UTF-8', () => {
    const note = Buffer.concat([Buffer.of(0xff), bytes(vectors.checkpoint)])
    expect(codeOf(() => parseNote(note))).toBe('malformed')
  })

  test('a byte order mark is text, and so no longer what was signed', () => {
    expect(codeOf(() => check(`\ufeff${vectors.checkpoint}`))).toBe('bad-signature')
  })

  test('more than is ever needed: bytes, and signatures; sixteen are read', () => {
    expect(codeOf(() => parseNote(new Uint8Array(MAX_NOTE_BYTES + 1)))).toBe('too-large')
    expect(parseNote(bytes(`text\n\n${`${line}\n`.repeat(16)}`)).signatures).toHaveLength(16)
    expect(codeOf(() => parseNote(bytes(`text\n\n${`${line}\n`.repeat(65)}`)))).toBe('too-large')
  })

  test('any bytes are a note or an error of ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        expect(['none', 'malformed']).toContain(codeOf(() => parseNote(noise)))
      }),
    )
  })
})

describe('what is no vkey', () => {
  test.each([
    ['nothing', ''],
    ['no parts', 'name'],
    ['an id that is another key’s', vectors.vkey.replace('+20', '+21')],
    ['a name that is another', vectors.vkey.replace('log.', 'lag.')],
    ['an empty name', vectors.vkey.replace(vectors.origin, '')],
    ['a type that is not known', `name+00000000+${Buffer.alloc(33, 2).toString('base64')}`],
    ['a key that is cut', `name+00000000+${Buffer.alloc(32, 1).toString('base64')}`],
  ])('%s', (_, vkey) => {
    expect(codeOf(() => parseVkey(vkey))).toBe('malformed')
  })
})

test('a text that no note can carry is not signed', () => {
  const line = { name: 'a', id: 1, payload: new Uint8Array(64) }
  expect(codeOf(() => formatNote('no newline', [line]))).toBe('malformed')
  expect(codeOf(() => formatNote('a\u0000\n', [line]))).toBe('malformed')
})
