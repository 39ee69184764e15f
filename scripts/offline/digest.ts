import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { digestWords, MAX_WORDS } from '../../src/words/words.ts'
import { print, printJson, Refusal } from './command.ts'
import type { Command } from './command.ts'

export const digestUsage = 'digest [--json]'

/** Set by the build; the sources do not have it. */
declare const HOLDFAST_BUILT: boolean | undefined

/**
 * What this program is, to be compared with what others built of the same sources. It is the file's own
 * word: whoever does not trust the machine hashes the file on another one.
 */
export const digest: Command = async (args) => {
  if (typeof HOLDFAST_BUILT === 'undefined') {
    throw new Refusal('this runs from its sources: build the one file with npm run build:ceremony')
  }
  const bytes = await readFile(fileURLToPath(import.meta.url))
  const sha256 = hash('sha256', bytes, 'buffer')
  const hex = sha256.toString('hex')
  const words = digestWords(sha256, MAX_WORDS)
  if (args.includes('--json')) printJson({ sha256: hex, words })
  else {
    print(`sha256 ${hex}`)
    print(words.join(' '))
  }
  return 0
}
