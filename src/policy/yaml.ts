import { isScalar, LineCounter, parseAllDocuments, visit } from 'yaml'
import { PolicyError } from './error.ts'

const MAX_FILE_CHARACTERS = 256 * 1024

/**
 * The YAML 1.2 core subset that policy files are written in: one document, no anchors, aliases,
 * tags, directives or merge keys, every key plain text and there once. What a reviewer reads is then
 * what is loaded.
 */
export function parseStrictYaml(text: string, file: string): unknown {
  if (text.length > MAX_FILE_CHARACTERS) {
    throw new PolicyError(
      'file-malformed',
      `${file}: larger than ${MAX_FILE_CHARACTERS} characters`,
    )
  }
  // A directive changes what tags, and so values, mean further down.
  if (/^\uFEFF?%/m.test(text)) refuse(file, 'a directive')
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    uniqueKeys: true,
    strict: true,
    lineCounter: lines,
  })
  const [document, second] = Array.isArray(documents) ? documents : []
  if (document === undefined) throw new PolicyError('file-malformed', `${file}: is empty`)
  if (second !== undefined) {
    throw new PolicyError('file-malformed', `${file}: holds more than one document`)
  }
  const problem = document.errors[0] ?? document.warnings[0]
  if (problem !== undefined) {
    throw new PolicyError('file-malformed', `${file}: ${problem.message}`)
  }
  visit(document, {
    Alias: () => refuse(file, 'an alias'),
    Node: (_key, node) => {
      if ('anchor' in node && node.anchor !== undefined) refuse(file, 'an anchor')
      // Only a tag that somebody wrote is set: `!!set` and the like would make a list look empty.
      if (node.tag !== undefined) refuse(file, 'a tag')
    },
    Pair: (_key, { key }) => {
      // Any other key becomes text on the way out, where `1` and `"1"` are the same one.
      if (!isScalar(key) || typeof key.value !== 'string') refuse(file, 'a key that is not text')
      if (key.value === '<<') refuse(file, 'a merge key')
    },
  })
  return document.toJS({ maxAliasCount: 0 }) as unknown
}

function refuse(file: string, what: string): never {
  throw new PolicyError(
    'file-malformed',
    `${file}: ${what} is not allowed here; write the value out`,
  )
}
