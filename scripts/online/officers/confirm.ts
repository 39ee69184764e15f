import { randomInt } from 'node:crypto'
import { firstWrongWord } from '../../../src/words/words.ts'
import { Refusal } from '../../offline/command.ts'
import type { Terminal } from '../../offline/terminal.ts'

const ASKED = 3

/**
 * Somebody has read the words: at the terminal three of them, which the tool chooses; a script has them
 * all, from wherever they were compared.
 * @throws Refusal when it was something else; nothing was signed
 */
export async function confirmWords(
  words: readonly string[],
  given: string | undefined,
  terminal: Terminal,
): Promise<void> {
  if (given !== undefined) {
    const wrong = firstWrongWord(given, words)
    if (wrong === null) return
    throw new Refusal(`--confirm: word ${wrong} is not the one above; nothing was signed`)
  }
  const places = chosen(words.length)
  const named = places.map((place) => place + 1).join(', ')
  const typed = await terminal.askLine(`To sign this, type words ${named} of the ${words.length}`)
  const expected = places.map((place) => words[place]!)
  if (firstWrongWord(typed, expected) === null) return
  throw new Refusal('those are not the words; nothing was signed')
}

function chosen(length: number): number[] {
  const left = Array.from({ length }, (_, place) => place)
  const taken = Array.from({ length: ASKED }, () => left.splice(randomInt(left.length), 1)[0]!)
  return taken.sort((a, b) => a - b)
}
