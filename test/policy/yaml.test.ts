import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { PolicyError } from '../../src/policy/error.ts'
import { parseStrictYaml } from '../../src/policy/yaml.ts'

function refusal(text: string): string {
  try {
    parseStrictYaml(text, 'a.yaml')
    return 'accepted'
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    return `${error.code} ${error.message}`
  }
}

describe('what policy files are written in', () => {
  test.each([
    { text: 'a: b', value: { a: 'b' } },
    { text: '---\na: b\n...\n', value: { a: 'b' } },
    { text: '# why\na: b # because', value: { a: 'b' } },
    { text: 'a: [b, c]', value: { a: ['b', 'c'] } },
    { text: 'a:\n  - { b: c }\n  - "d"', value: { a: [{ b: 'c' }, 'd'] } },
    { text: 'a: true\nb: 3\nc: ~', value: { a: true, b: 3, c: null } },
    { text: 'a: yes\nb: 010\nc: 2026-01-01', value: { a: 'yes', b: 10, c: '2026-01-01' } },
    { text: 'a: "<<"', value: { a: '<<' } },
    { text: 'a: 20%', value: { a: '20%' } },
  ])('$text', ({ text, value }) => {
    expect(parseStrictYaml(text, 'a.yaml')).toEqual(value)
  })
})

describe('what would be read otherwise than a reviewer reads it', () => {
  test.each([
    { what: 'an anchor', text: 'a: &x b' },
    { what: 'an anchor', text: 'a: &x { b: c }' },
    { what: 'an anchor', text: '&x a: b' },
    { what: 'an anchor', text: 'a: [&x ]' },
    { what: 'an anchor', text: 'a: &x b\nc: *x' },
    { what: 'an alias', text: 'a: *x' },
    { what: 'a tag', text: 'a: !!str b' },
    { what: 'a tag', text: 'a: ! b' },
    { what: 'a tag', text: '!!map { a: b }' },
    { what: 'a tag', text: '! { a: b }' },
    { what: 'a tag', text: 'a: ! [b]' },
    { what: 'a tag', text: '!!set { a, b }' },
    { what: 'a tag', text: 'a: !!binary aGk=' },
    { what: 'a tag', text: 'a: !!int "3"' },
    { what: 'a tag', text: 'a: !<tag:yaml.org,2002:str> b' },
    { what: 'tag', text: 'a: !own b' },
    { what: 'a directive', text: '%TAG ! tag:yaml.org,2002:\n---\na: !str b' },
    { what: 'a directive', text: '%YAML 1.1\n---\na: yes' },
    { what: 'a directive', text: '%YAML 1.2\n---\na: b' },
    { what: 'a directive', text: '\uFEFF%YAML 1.1\n---\na: b' },
    { what: 'a directive', text: 'a: b\n...\n%YAML 1.1\n---\na: b' },
    { what: 'a merge key', text: '<<: { a: b }' },
    { what: 'a merge key', text: '"<<": { a: b }' },
    { what: 'a merge key', text: 'a: { <<: { b: c } }' },
    { what: 'more than one document', text: 'a: b\n---\na: c' },
    { what: 'more than one document', text: 'a: b\n---\n' },
    { what: 'must be unique', text: 'a: b\na: c' },
    { what: 'must be unique', text: 'a: b\n"a": c' },
    { what: 'must be unique', text: 'a: { b: c, b: d }' },
    { what: 'a key that is not text', text: '1: a\n"1": b' },
    { what: 'a key that is not text', text: 'true: a' },
    { what: 'a key that is not text', text: '~: a' },
    { what: 'a key that is not text', text: '? [a]\n: b' },
    { what: 'a key that is not text', text: '? { a: b }\n: c' },
    { what: 'is empty', text: '' },
    { what: 'is empty', text: '# nothing' },
    { what: 'Tabs', text: 'a:\n\t- b' },
    { what: 'a.yaml', text: 'a: [b' },
    { what: 'a.yaml', text: 'a: b: c' },
  ])('$what is refused: $text', ({ what, text }) => {
    expect(refusal(text)).toMatch(/^file-malformed a\.yaml: /)
    expect(refusal(text)).toContain(what)
  })

  test('a file larger than anybody reviews is refused before it is parsed', () => {
    const line = `a: "${'x'.repeat(256 * 1024 - 5)}"`
    expect(refusal(line)).toBe('accepted')
    expect(refusal(`${line} `)).toContain('larger than 262144 characters')
  })

  test('any other text is parsed or refused, never anything else', () => {
    const pieces = ['a: b\n', '- ', '{', '}', '[', ']', '&x ', '*x', '!!', '<<: ', '---\n', '? ']
    const text = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string()), { maxLength: 12 })
    fc.assert(
      fc.property(text, (parts) => {
        expect(refusal(parts.join(''))).toMatch(/^(accepted|file-malformed )/)
      }),
      { numRuns: 500 },
    )
  })
})

test('what is written out plainly comes back as it was', () => {
  const word = fc.stringMatching(/^[a-zA-Z0-9.:/-]{1,12}$/)
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      word,
      fc.boolean(),
      fc.array(tie('any'), { maxLength: 3 }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie('any'), { noNullPrototype: true }),
    ),
  }))
  fc.assert(
    fc.property(value.any, (plain) => {
      const text = stringify({ plain }, { aliasDuplicateObjects: false })
      expect(parseStrictYaml(text, 'a.yaml')).toEqual({ plain })
    }),
    { numRuns: 300 },
  )
})
