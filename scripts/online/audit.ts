import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { restoreLog } from '../../src/sequencer/restore.ts'
import type { Restored } from '../../src/sequencer/restore.ts'
import { recordReconciled } from '../../src/store/log-deeds.ts'
import { auditExport, auditProof } from './audit-export.ts'
import { approveFork } from './audit/approve-fork.ts'
import { auditFork } from './audit/fork.ts'
import { UsageError, print, printJson, withContext } from './command.ts'
import type { Command } from './command.ts'

const usage =
  'audit export DIR | audit verify DIR [--trust CARD] [--checkpoint FILE] [--max-age D] | audit proof INDEX | ' +
  'audit proof verify FILE --trust CARD | audit restore DIR | audit fork FILE | audit fork approve FILE | audit reconcile [--json]'

export const audit: Command = async ([verb, ...args]) => {
  if (verb === 'fork') {
    return args[0] === 'approve' ? await approveFork(args.slice(1)) : await auditFork(args)
  }
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean' } },
  })
  const [folder, ...rest] = positionals
  const json = values.json === true
  if (verb === 'restore' && folder !== undefined && rest.length === 0)
    return await restore(folder, json)
  if (verb === 'export' && folder !== undefined && rest.length === 0)
    return await auditExport(folder, json)
  if (verb === 'proof' && folder !== undefined && /^[0-9]{1,15}$/.test(folder) && rest.length === 0)
    return await auditProof(Number(folder))
  if (verb === 'reconcile' && folder === undefined) return await reconcile(json)
  throw new UsageError(usage)
}

async function restore(folder: string, json: boolean): Promise<number> {
  return await withContext(async ({ auditLog }) => {
    const held = await auditLog.held.read()
    if (held === null) {
      process.stderr.write(
        'there is no held record to restore up to; bring it back first (docs/operations.md)\n',
      )
      return 2
    }
    const outcome = await restoreLog(auditLog.store, held, (path) => readIn(folder, path))
    if (json) printJson(outcome)
    else say(outcome)
    return codes[outcome.kind]
  })
}

const codes: Record<Restored['kind'], number> = {
  restored: 0,
  'nothing-missing': 0,
  lost: 1,
  'another-log': 1,
  busy: 3,
}

function say(outcome: Restored): void {
  switch (outcome.kind) {
    case 'restored':
      return print(
        `Put back entries ${outcome.from} to ${outcome.to}: the root is the held one. ` +
          'Signing goes on by itself. Credentials of callers made since the backup must be made again.',
      )
    case 'nothing-missing':
      return print(`nothing is missing: the database has ${outcome.size} entries`)
    case 'lost':
      return print(
        `entries ${outcome.from} to ${outcome.to} are neither in the database nor in the export; nothing was written. ` +
          'Look for a newer export; if there is none, only "audit fork" helps.',
      )
    case 'another-log':
      return print(
        `with the entries of the export the log of ${outcome.size} entries has another root than the held one; ` +
          'nothing was written. The database or the export was changed: use another backup.',
      )
    case 'busy':
      return print('an instance of the service holds the log; stop it and try again')
  }
}

async function readIn(folder: string, path: string): Promise<Uint8Array | null> {
  try {
    return new Uint8Array(await readFile(join(folder, path)))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** Reads the directory on to its end; what was found before is in the entries. */
async function reconcile(json: boolean): Promise<number> {
  return await withContext(async ({ follow, db, config }) => {
    const found = await follow(AbortSignal.timeout(RECONCILE_DEADLINE_MS))
    const { operations, own } = found
    const counts = {
      operations,
      own,
      foreign: found.foreign.length,
      nullified: found.nullified.length,
    }
    await recordReconciled(db, { directory: config.plcUrl, ...counts })
    if (json) printJson({ ...counts, operationsWithoutOutcome: found.foreign })
    else {
      print(
        `${operations} operations of identities in care since the last look; ${own} are on record.`,
      )
      for (const one of found.foreign)
        print(
          `${one.class}: ${one.did} ${one.cid}, can be undone until ${one.deadline.toISOString()}`,
        )
      for (const one of found.nullified) print(`nullified: ${one.did} ${one.cid}, by ${one.by}`)
    }
    return found.foreign.some((one) => one.class !== 'user') || found.nullified.length > 0 ? 1 : 0
  })
}

const RECONCILE_DEADLINE_MS = 600_000
