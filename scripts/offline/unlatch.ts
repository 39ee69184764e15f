import { describeLatch, listLatches, unlatch } from '../../src/signer/pkcs11/pin-latch.ts'
import { escapeText } from '../../src/plc/text.ts'
import { print, Refusal, UsageError } from './command.ts'
import type { Command } from './command.ts'
import { latchDir } from './keys/latches.ts'

export const unlatchUsage = 'unlatch SERIAL'

/** A person has looked at token and PIN, and allows one more attempt. */
export const unlatchCommand: Command = async (args) => {
  const [serial, extra] = args
  if (serial === undefined || extra !== undefined) throw new UsageError(unlatchUsage)
  const latch = await unlatch(latchDir(), serial)
  if (latch === null) {
    const others = (await listLatches(latchDir())).map((other) => escapeText(other.serial))
    const known = others.length === 0 ? 'none is' : `latched: ${others.join(', ')}`
    throw new Refusal(`token ${escapeText(serial)} is not latched here (${known})`)
  }
  print(
    `Token ${escapeText(serial)} was latched: ${describeLatch(latch)}. One more attempt is allowed.`,
  )
  return 0
}
