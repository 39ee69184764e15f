import { escapeText } from '../../../src/plc/text.ts'
import { isAgeFile, openWithPassphrase } from '../age.ts'
import { readBounded, Refusal } from '../command.ts'
import type { Terminal } from '../terminal.ts'

const MAX_IDENTITY_BYTES = 16 * 1024

/**
 * The identity in a file as `age-keygen` and `ceremony identity` write it; one under a passphrase is
 * asked for it.
 * @returns `AGE-SECRET-KEY-1…` @throws Refusal
 */
export async function readIdentity(path: string, terminal: Terminal): Promise<string> {
  const content = await readBounded(path, MAX_IDENTITY_BYTES)
  const text = isAgeFile(content) ? await unlock(path, content, terminal) : content.toString('utf8')
  content.fill(0)
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#'))
  const [identity, another] = lines
  if (
    identity === undefined ||
    another !== undefined ||
    !/^AGE-SECRET-KEY-1[0-9A-Z]+$/.test(identity)
  ) {
    throw new Refusal(`${escapeText(path)}: holds not exactly one X25519 identity of age`)
  }
  return identity
}

async function unlock(path: string, content: Buffer, terminal: Terminal): Promise<string> {
  const passphrase = await terminal.askSecret(`Passphrase of the identity ${escapeText(path)}`)
  try {
    const opened = await openWithPassphrase(passphrase.toString('utf8'), content)
    return Buffer.from(opened).toString('utf8')
  } catch (cause) {
    throw new Refusal(`${escapeText(path)}: does not open with this passphrase`, { cause })
  } finally {
    passphrase.fill(0)
  }
}
