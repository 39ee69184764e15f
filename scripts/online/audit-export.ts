import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { replaceFile, writeOnce } from '../../src/files/write-once.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import type { Context } from '../../src/context.ts'
import { ExportError, exportLog } from '../../src/sequencer/export-log.ts'
import type { ExportFolder } from '../../src/sequencer/export-log.ts'
import { proveEntry } from '../../src/sequencer/prove.ts'
import { print, printJson, withContext } from './command.ts'

/** Writes the log as a tree of files that anyone can serve, and `audit verify` judges. */
export async function auditExport(dir: string, json: boolean): Promise<number> {
  return await withContext(async (context) => {
    const key = await keyOf(context)
    if (key === null) return 3
    let told = Date.now()
    const source = { ...context.auditLog.store, cosigned: context.witnesses.newest }
    const exported = await exportLog(source, folderAt(dir), {
      key,
      verify: verifyEd25519,
      progress: (done, size) => {
        if (Date.now() - told < 2_000) return
        told = Date.now()
        process.stderr.write(`${done} of ${size} entries\n`)
      },
    })
    if (json) printJson(exported)
    else
      print(
        `Exported ${exported.size} entries, ${exported.size - exported.from} of them new or in a new file.`,
      )
    return 0
  })
}

/** Prints a receipt for one entry. */
export async function auditProof(index: number): Promise<number> {
  return await withContext(async (context) => {
    const key = await keyOf(context)
    if (key === null) return 3
    process.stdout.write(
      await proveEntry(context.auditLog.store, index, { key, verify: verifyEd25519 }),
    )
    return 0
  })
}

async function keyOf({ auditLog }: Context) {
  const held = await auditLog.held.read()
  const signer = held === null ? null : auditLog.signerFor(held.origin)
  if (signer === null) {
    process.stderr.write('could not run: there is no held record, or no checkpoint key, of a log\n')
  }
  return signer?.key ?? null
}

/** A file is written once: one that is there must be the same. */
export function folderAt(dir: string): ExportFolder {
  const made = new Set<string>()
  const pathOf = async (path: string) => {
    const place = dirname(join(dir, path))
    if (!made.has(place)) await mkdir(place, { recursive: true, mode: 0o755 })
    made.add(place)
    return join(dir, path)
  }
  const read = async (path: string) => {
    try {
      return new Uint8Array(await readFile(join(dir, path)))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
      throw error
    }
  }
  return {
    read,
    write: async (path, content) => {
      const found = await read(path)
      if (found === null && (await writeOnce(await pathOf(path), content))) return
      const there = found ?? (await read(path))
      if (there === null || Buffer.compare(there, content) !== 0) {
        throw new ExportError(
          'another-log',
          `${path} is there with other content: it is of another log`,
        )
      }
    },
    replace: async (path, content) => await replaceFile(await pathOf(path), content),
  }
}
