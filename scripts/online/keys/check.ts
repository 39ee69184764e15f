import { parseArgs } from 'node:util'
import { openPolicies } from '../../../src/development.ts'
import { homesOf } from '../../../src/policy/policy-set.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { nameOfHome } from '../../../src/signer/backends.ts'
import type { Database } from '../../../src/store/database.ts'
import { recordKey } from '../../../src/store/key-record.ts'
import { UsageError, print, printJson } from '../command.ts'
import { withRecord } from './open.ts'
import type { Ground } from './open.ts'
import { kindOf } from './place.ts'
import type { Checked } from './place-kind.ts'

const usage = 'keys check [ID] [--json]'

type Report = Checked & { readonly id: string; readonly home: string }

/**
 * Whether each home of a key holds the pinned one, guarded as it should be, and who can read it. A key
 * in a token signs a message of its own kind for that, so each check is on record. Exit 1: a problem.
 */
export async function checkKeys(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const [id, extra] = positionals
  if (extra !== undefined) throw new UsageError(usage)
  return await withRecord(async (ground) => {
    const { policies } = await openPolicies(ground.config, ground.sealer)
    const keys = policies.keys.filter(
      (key) => key.class === 'online' && (id === undefined ? key.retired !== true : key.id === id),
    )
    if (id !== undefined && keys.length === 0) {
      throw new UsageError(`${usage}\nno online key ${id} in keys.yaml`)
    }
    const reports: Report[] = []
    for (const key of keys) reports.push(...(await checkHomes(ground, key)))
    if (values.json) printJson(reports)
    else for (const report of reports) tell(report)
    return reports.every(({ problems }) => problems.length === 0) ? 0 : 1
  })
}

async function checkHomes(ground: Ground & { db: Database }, key: KeyConfig): Promise<Report[]> {
  const reports: Report[] = []
  for (const uri of homesOf(key)) {
    const home = nameOfHome(uri)
    const checked = (await kindOf(uri)?.check(ground, key, uri)) ?? UNKNOWN
    const holds = checked.problems.length === 0
    const { id, did } = key
    await recordKey(ground.db, { kind: 'key.checked', key: id, keyDid: did, home, holds })
    const exposed = key.exposed === true ? ['it has been outside of custody (exposed)'] : []
    reports.push({ id, home, ...checked, remarks: [...checked.remarks, ...exposed] })
  }
  return reports
}

const UNKNOWN: Checked = {
  problems: ['this command knows no such place'],
  remarks: [],
  readers: [],
}

function tell({ id, home, problems, remarks, readers }: Report): void {
  print(`${id}  ${home}  ${problems.length === 0 ? 'holds the pinned key' : 'NOT WELL'}`)
  for (const problem of problems) print(`  problem: ${problem}`)
  for (const remark of remarks) print(`  remark: ${remark}`)
  for (const reader of readers) print(`  who: ${reader}`)
}
