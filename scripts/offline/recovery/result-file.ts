import { link, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { createResultDigest, renderHeader, renderSigned } from '../../../src/recovery/result.ts'
import type { SignedRecovery } from '../../../src/recovery/result.ts'
import type { TrustedIntent } from '../../../src/recovery/trusted.ts'
import { Refusal } from '../command.ts'

const FLUSH_LINES = 1_024

/** A result under its name only once it is whole; before that it lies beside it as `PATH.new`. */
export type ResultFile = {
  add(signed: SignedRecovery): Promise<void>
  /** @returns its digest @throws Refusal when there is a file of that name */
  release(): Promise<Uint8Array>
  close(): Promise<void>
}

export async function createResultFile(path: string, trusted: TrustedIntent): Promise<ResultFile> {
  const temporary = `${path}.new`
  // What a killed run left there is made again, byte for byte.
  await rm(temporary, { force: true })
  const file = await open(temporary, 'wx', 0o600)
  const digest = createResultDigest()
  let waiting: string[] = []
  const put = (line: string): void => {
    digest.add(line)
    waiting.push(`${line}\n`)
  }
  const flush = async (): Promise<void> => {
    const text = waiting.join('')
    waiting = []
    await file.appendFile(text)
  }
  put(renderHeader(trusted))
  return {
    add: async (signed) => {
      put(renderSigned(signed))
      if (waiting.length >= FLUSH_LINES) await flush()
    },
    release: async () => {
      const end = digest.end()
      waiting.push(`${end.line}\n`)
      await flush()
      await file.sync()
      await linkNew(temporary, path)
      return end.digest
    },
    close: async () => {
      await file.close()
      await rm(temporary, { force: true })
    },
  }
}

async function linkNew(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (cause) {
    throw new Refusal(`${escapeText(path)}: is there already; nothing was released`, { cause })
  }
  await syncDirectory(dirname(path))
}
