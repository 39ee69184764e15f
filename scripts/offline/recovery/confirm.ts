import { digestWords, firstWrongWord, MAX_WORDS } from '../../../src/words/words.ts'
import { Refusal } from '../command.ts'
import type { Terminal } from '../terminal.ts'

/** 88 bits: nobody finds another digest with the same ones. */
const TYPED_WORDS = 8

/**
 * The words come from paper that was printed elsewhere; this machine never shows them first, or they
 * would prove nothing. @throws Refusal naming the first word that is another
 */
export async function confirmWords(
  terminal: Terminal,
  { what, digest }: { readonly what: string; readonly digest: Uint8Array },
): Promise<void> {
  const expected = digestWords(digest, TYPED_WORDS)
  const typed = await terminal.askLine(`Words 1 to ${TYPED_WORDS} of ${what}, from the paper`)
  const wrong = firstWrongWord(typed, expected)
  if (wrong === null) return
  throw new Refusal(
    `word ${wrong} is another one: this is not ${what} that was printed; nothing was signed`,
  )
}

/** All words, numbered, six a line: for paper. */
export function wordTable(digest: Uint8Array): string {
  const words = digestWords(digest, MAX_WORDS).map(
    (word, index) => `${String(index + 1).padStart(2)}. ${word.padEnd(9)}`,
  )
  const lines = [0, 6, 12, 18].map(
    (start) =>
      `  ${words
        .slice(start, start + 6)
        .join(' ')
        .trimEnd()}`,
  )
  return lines.join('\n')
}
