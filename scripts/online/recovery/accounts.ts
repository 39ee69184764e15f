import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createReadStream } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { linesOf } from '../../../src/files/lines.ts'
import { quoteText } from '../../../src/plc/text.ts'
import { AccountsError } from './accounts-error.ts'

const PLC_DID = /^did:plc:[a-z2-7]{24}$/
const MAX_LINE_BYTES = 1_024

/** One DID a line; empty lines and those with a # are passed over. @throws AccountsError naming the line */
export async function accountsInList(path: string): Promise<string[]> {
  const dids: string[] = []
  for await (const { number, bytes } of linesOf(openFile(path), { maxBytes: MAX_LINE_BYTES })) {
    const text = bytes?.toString('utf8').trim() ?? '?'
    if (PLC_DID.test(text)) dids.push(text)
    else if (text !== '' && !text.startsWith('#')) {
      throw new AccountsError(`${path}: line ${number} is not a did:plc: ${quoteText(text)}`)
    }
  }
  return dids
}

/** Its name in the data directory of `@atproto/pds`, with the file of what is not yet written back. */
const ACCOUNT_DATABASE = 'account.sqlite'

/**
 * The accounts of a PDS from its data directory, which may be a restored one that nothing runs on: its
 * account database is copied and read, and nothing in the directory is touched.
 * @returns `others`: accounts under another DID method, which a rotation key has nothing to do with
 * @throws AccountsError
 */
export async function accountsInPdsData(
  folder: string,
): Promise<{ readonly dids: string[]; readonly others: number }> {
  const file = join(folder, ACCOUNT_DATABASE)
  if ((await stat(file).catch(() => null))?.isFile() !== true) {
    throw new AccountsError(`${file} is not there; name the PDS's data directory`)
  }
  const copy = await mkdtemp(join(tmpdir(), 'holdfast-accounts-'))
  try {
    await copyFile(file, join(copy, ACCOUNT_DATABASE))
    const wal = `${file}-wal`
    if ((await stat(wal).catch(() => null)) !== null) {
      await copyFile(wal, join(copy, `${ACCOUNT_DATABASE}-wal`))
    }
    const all = readActors(join(copy, ACCOUNT_DATABASE))
    const dids = all.filter((did) => PLC_DID.test(did))
    return { dids, others: all.length - dids.length }
  } catch (cause) {
    if (cause instanceof AccountsError) throw cause
    throw new AccountsError(`${file}: cannot be read as the account database of a PDS`, { cause })
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

/** Taken down and deactivated accounts are accounts too. */
function readActors(path: string): string[] {
  const database = new DatabaseSync(path)
  try {
    const rows = database.prepare('select did from actor').all() as { did: unknown }[]
    return rows.map(({ did }) => String(did))
  } finally {
    database.close()
  }
}

async function* openFile(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path)
  } catch (cause) {
    throw new AccountsError(`${path}: cannot be read`, { cause })
  }
}
