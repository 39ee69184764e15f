import { hash } from 'node:crypto'

const SHOWN_WHOLE = 300
const SHOWN_OF_CUT = 200

/**
 * Printable ASCII stays, except the escape character and the quote; all else becomes `\u{hex}`.
 * Different texts give different results, so nothing can hide behind line breaks, bidi controls,
 * zero-width characters or letters that look alike.
 */
export function escapeText(text: string): string {
  return text.replace(/[^ !#-[\]-~]/gu, (character) =>
    character === '\\' || character === '"'
      ? `\\${character}`
      : `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )
}

/**
 * Quoted and escaped, for officers, terminals and logs. A long text is cut; then its length and the
 * SHA-256 of its escaped form follow outside the quotes, where the text itself can never write:
 * different texts stay different although their middle is not shown.
 */
export function quoteText(text: string): string {
  if (text.length <= SHOWN_WHOLE) return `"${escapeText(text)}"`
  // Over the escaped form, since UTF-8 maps every lone surrogate to the same three bytes.
  const digest = hash('sha256', escapeText(text), 'hex')
  const start = escapeText(text.slice(0, SHOWN_OF_CUT))
  return `"${start}" (cut: ${text.length} characters, sha-256 ${digest})`
}

/** JSON in printable ASCII: the same value to a parser, and nothing that a terminal would obey. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
