import { parseArgs } from 'node:util'
import { ledgerStates } from '../../../src/campaign/ledger.ts'
import type { LedgerState } from '../../../src/campaign/ledger.ts'
import { exclusions, parseIntent } from '../../../src/recovery/intent.ts'
import type { Database } from '../../../src/store/database.ts'
import {
  createLedger,
  findCeremony,
  listAccounts,
  listCeremonies,
} from '../../../src/store/recovery-ledger.ts'
import type { Ceremony } from '../../../src/store/recovery-ledger.ts'
import { print, printJson, UsageError, withContext } from '../command.ts'

export const statusUsage =
  'recovery status [CEREMONY] [--list STATE] [--json]   how far it has come, every account of the plan accounted for'

const PAGE = 1_000

const WORDS: Readonly<Record<LedgerState, string>> = {
  planned: 'not sent yet',
  sent: 'under way when a run ended; the next one looks',
  unknown: 'sent without an answer; the next run looks',
  accepted: 'taken by the directory, not looked at yet',
  observed: 'in force',
  stale: 'gone on meanwhile; plan these again (recovery plan --stale)',
  refused: 'refused by the directory',
  overruled: 'taken out by a stronger key, or at the same moment as another',
}

export async function recoveryStatus(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { list: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  const [id, extra] = positionals
  const states = statesOf(values.list)
  if (extra !== undefined) throw new UsageError(statusUsage)
  return await withContext(async ({ db }) => {
    if (id === undefined) {
      const known = await listCeremonies(db)
      if (values.json) printJson(known)
      else print(known.length === 0 ? 'no result of a ceremony was imported' : known.join('\n'))
      return 0
    }
    const ceremony = await findCeremony(db, id)
    if (ceremony !== null) return await showStatus(db, ceremony, { json: values.json, states })
    process.stderr.write(`ceremony ${id} is not known here\n`)
    return 1
  })
}

/** Exit 0: every operation is in force. 1: some are not. */
export async function showStatus(
  db: Database,
  ceremony: Ceremony,
  { json, states }: { readonly json: boolean; readonly states: readonly LedgerState[] },
): Promise<number> {
  const counts = await createLedger(db).counts(ceremony.id)
  const { accounts, excluded, operations } = parseIntent(ceremony.intent)
  const isDone = counts.observed === operations.count && ceremony.complete
  if (json) {
    const named: object[] = []
    for await (const account of accountsIn(db, ceremony.id, states)) named.push(account)
    const { id, complete } = ceremony
    printJson({ ceremony: id, complete, accounts: accounts.count, states: counts, excluded, named })
    return isDone ? 0 : 1
  }
  print(`ceremony ${ceremony.id}: ${accounts.count} accounts`)
  if (!ceremony.complete) print('  its import is not whole; run recovery import again')
  for (const state of ledgerStates) {
    if (counts[state] > 0) print(`  ${counts[state]} ${state}: ${WORDS[state]}`)
  }
  for (const reason of exclusions) {
    if (excluded[reason] > 0) print(`  ${excluded[reason]} got nothing: ${reason}`)
  }
  for await (const { did, state, detail } of accountsIn(db, ceremony.id, states)) {
    print(`${state}: ${did}${detail === null ? '' : ` (${detail})`}`)
  }
  return isDone ? 0 : 1
}

async function* accountsIn(db: Database, ceremony: string, states: readonly LedgerState[]) {
  if (states.length === 0) return
  for (let after = ''; ;) {
    const page = await listAccounts(db, { ceremony, states, after, limit: PAGE })
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.did
  }
}

function statesOf(list: string | undefined): readonly LedgerState[] {
  if (list === undefined) return []
  const state = ledgerStates.find((name) => name === list)
  if (state !== undefined) return [state]
  throw new UsageError(`${statusUsage}\n--list: one of ${ledgerStates.join(', ')}`)
}
