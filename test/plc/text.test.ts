import * as fc from 'fast-check'
import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { asciiJson, escapeText, quoteText } from '../../src/plc/text.ts'

/** With lone surrogates: a text need not come from the parser. */
const anyText = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0x22, 0x5c, 0xd83d, 0xde00)))
  .map((units) => String.fromCharCode(...units))

describe('escaping', () => {
  test.each([
    {
      what: 'printable ASCII',
      text: "at://a-b.example.com/~'<&>",
      shown: "at://a-b.example.com/~'<&>",
    },
    { what: 'the escape character and the quote', text: '\\"', shown: '\\\\\\"' },
    { what: 'line breaks', text: '\r\n\u2028', shown: '\\u{d}\\u{a}\\u{2028}' },
    { what: 'terminal control', text: '\u001b[2J\u009b', shown: '\\u{1b}[2J\\u{9b}' },
    { what: 'bidi controls', text: '\u202emoc.', shown: '\\u{202e}moc.' },
    { what: 'zero width', text: 'a\u200b\ufeffb', shown: 'a\\u{200b}\\u{feff}b' },
    { what: 'a look-alike', text: '\u0430', shown: '\\u{430}' },
    { what: 'an emoji', text: '\ud83d\ude00', shown: '\\u{1f600}' },
    { what: 'a lone surrogate', text: '\ude00\ud83d', shown: '\\u{de00}\\u{d83d}' },
    { what: 'delete and nothing', text: '\u007f\u0000', shown: '\\u{7f}\\u{0}' },
  ])('$what', ({ text, shown }) => {
    expect(escapeText(text)).toBe(shown)
  })

  test('is printable ASCII, and can be undone', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const escaped = escapeText(text)
        expect(escaped).toMatch(/^[ -~]*$/)
        expect(unescape(escaped)).toBe(text)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('quoting', () => {
  test('300 characters are shown whole, 301 are cut, and the cut says length and hash', () => {
    expect(quoteText('x'.repeat(300))).toBe(`"${'x'.repeat(300)}"`)
    const digest = hash('sha256', 'x'.repeat(301), 'hex')
    expect(quoteText('x'.repeat(301))).toBe(
      `"${'x'.repeat(200)}" (cut: 301 characters, sha-256 ${digest})`,
    )
  })

  test('a text cannot pass for a cut one', () => {
    const long = quoteText('x'.repeat(301))
    expect(quoteText(long.slice(1, -1))).not.toBe(long)
    expect(quoteText(`${'x'.repeat(200)}" (cut: 301 characters`)).toContain('\\" (cut: 301')
  })

  test('texts that differ in the part that is cut differ in their quotes', () => {
    const start = 'x'.repeat(299)
    const texts = ['\ud800\ud800', '\ud800\ud801', '\ufffd\ufffd', 'yz', 'zy', '\u200b\u200b']
    expect(new Set(texts.map((end) => quoteText(start + end))).size).toBe(texts.length)
  })
})

test('JSON in printable ASCII is the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = asciiJson(value)
      expect(json).toMatch(/^[ -~]*$/)
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
  expect(asciiJson('\u202e\ud83d\ude00\u007f')).toBe('"\\u202e\\ud83d\\ude00\\u007f"')
})

function unescape(escaped: string): string {
  return escaped.replace(/\\(?:u\{([0-9a-f]+)\}|(.))/g, (_, hex?: string, character?: string) =>
    hex === undefined ? character! : String.fromCodePoint(Number.parseInt(hex, 16)),
  )
}
