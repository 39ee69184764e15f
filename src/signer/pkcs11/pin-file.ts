import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { SignerError } from '../signer.ts'

/** `version` changes when the PIN's source does; null where there is none to compare. */
export type Pin = { readonly bytes: Uint8Array; readonly version: string | null }

/** Where a PIN comes from, asked anew for each login. @throws SignerError `key-unusable` */
export type PinSource = () => Promise<Pin>

const MAX_PIN_BYTES = 255

/**
 * A PIN in a file of its own that only its owner can read; one line end after it is not part of it.
 */
export function pinFromFile(path: string): PinSource {
  return async () => {
    const { content, version } = await readPrivate(path)
    const end = /\r?\n$/.exec(content.toString('latin1'))?.index ?? content.length
    const bytes = Uint8Array.from(content.subarray(0, end))
    content.fill(0)
    if (!isPin(bytes)) {
      throw unusable(path, `must hold a PIN of 1 to ${MAX_PIN_BYTES} bytes of text on one line`)
    }
    return { bytes, version }
  }
}

/** Checked before the token sees it: each mistake there costs an attempt. */
function isPin(bytes: Uint8Array): boolean {
  if (bytes.length === 0 || bytes.length > MAX_PIN_BYTES) return false
  return isUtf8(bytes) && !bytes.some((byte) => byte < 0x20)
}

async function readPrivate(path: string): Promise<{ content: Buffer; version: string }> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw unusable(path, 'cannot be read', cause)
  })
  try {
    const { mode, size, ino, dev, mtimeNs, ctimeNs, isFile } = await statOf(file)
    if (!isFile) throw unusable(path, 'is not a file')
    if ((mode & 0o077n) !== 0n) {
      throw unusable(path, `can be read by others; run: chmod 600 ${path}`)
    }
    if (size > MAX_PIN_BYTES + 2) throw unusable(path, 'is too long for a PIN')
    return { content: await file.readFile(), version: versionOf([dev, ino, mtimeNs, ctimeNs]) }
  } finally {
    await file.close()
  }
}

async function statOf(file: Awaited<ReturnType<typeof open>>) {
  const found = await file.stat({ bigint: true })
  return { ...found, isFile: found.isFile() }
}

/** Over the file's identity and times, not its content: a hash of a PIN is as good as the PIN. */
function versionOf(parts: readonly bigint[]): string {
  return createHash('sha256').update(parts.join(' ')).digest('hex').slice(0, 32)
}

function unusable(path: string, reason: string, cause?: unknown): SignerError {
  const options = cause === undefined ? {} : { cause }
  return new SignerError('key-unusable', `the PIN file ${path} ${reason}`, options)
}
