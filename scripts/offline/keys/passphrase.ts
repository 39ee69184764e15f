import { randomBytes } from 'node:crypto'
import { digestWords } from '../../../src/words/words.ts'
import { Refusal } from '../command.ts'
import type { Terminal } from '../terminal.ts'

export const MIN_CHARACTERS = 16
/** 110 bits. */
const MADE_WORDS = 10

/**
 * A new passphrase, typed twice; an empty answer has one made, which is shown once and typed back. Only
 * a string: the library takes nothing that could be cleared.
 * @throws Refusal
 */
export async function newPassphrase(terminal: Terminal): Promise<string> {
  const answer = await ask(terminal, `Passphrase of the new key (empty: one is made)`)
  const passphrase =
    answer === '' ? show(digestWords(randomBytes(32), MADE_WORDS).join('-')) : answer
  if (passphrase.length < MIN_CHARACTERS) {
    throw new Refusal(`a passphrase has ${MIN_CHARACTERS} characters at least; nothing was made`)
  }
  if ((await ask(terminal, 'The same again')) !== passphrase) {
    throw new Refusal('that was not the same; nothing was made')
  }
  return passphrase
}

function show(passphrase: string): string {
  process.stderr.write(`Write it down; it is not shown again:\n\n  ${passphrase}\n\n`)
  return passphrase
}

async function ask(terminal: Terminal, question: string): Promise<string> {
  const answer = await terminal.askSecret(question)
  const text = answer.toString('utf8')
  answer.fill(0)
  return text
}
