import { digestWords, firstWrongWord } from '../../../src/words/words.ts'
import { Refusal } from '../../offline/command.ts'
import type { Terminal } from '../../offline/terminal.ts'

/** 88 bits: nobody finds another digest with the same ones. */
const WORDS = 8

/** The words of a digest, as `policy check` prints them where the files are reviewed. */
export function wordsOf(digest: Uint8Array): string {
  return digestWords(digest, WORDS).join(' ')
}

/**
 * Whoever sits there types the words that were read where the files were reviewed. They are not shown
 * here: a host whose files were changed would show those of the changed ones.
 * @throws Refusal naming the first word that is another
 */
export async function askWords(
  terminal: Terminal,
  { what, digest }: { readonly what: string; readonly digest: Uint8Array },
  printedBy = 'policy check',
): Promise<void> {
  const question = `The ${WORDS} words of ${what}, as "${printedBy}" printed them at its review`
  const wrong = firstWrongWord(await terminal.askLine(question), digestWords(digest, WORDS))
  if (wrong === null) return
  throw new Refusal(`word ${wrong} is another one: this is not ${what} that was reviewed`)
}
