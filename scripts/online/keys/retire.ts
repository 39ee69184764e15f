import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openPolicies, withMark } from '../../../src/development.ts'
import { replaceFile } from '../../../src/files/write-once.ts'
import { homesOf } from '../../../src/policy/policy-set.ts'
import type { KeyConfig, PolicySet } from '../../../src/policy/policy-set.ts'
import { nameOfHome } from '../../../src/signer/backends.ts'
import { UsageError, print, printJson } from '../command.ts'
import { openGround } from './open.ts'

const usage = 'keys retire ID [--json]'

/**
 * Takes a key out of use. The mark in keys.yaml does it, from the next start, which puts it on record.
 * The private half is left where it is: what is destroyed cannot be brought back, and identities that
 * list the key can be changed by nothing else of ours but their recovery key.
 */
export async function retireKey(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const [id, extra] = positionals
  if (id === undefined || extra !== undefined) throw new UsageError(usage)
  const { config, sealer } = await openGround()
  const { dir, policies } = await openPolicies(config, sealer)
  const key = policies.keys.find((candidate) => candidate.id === id)
  if (key?.class !== 'online') throw new UsageError(`${usage}\nno online key ${id} in keys.yaml`)
  if (key.retired !== true) await mark(dir, policies, key)
  const { did } = key
  if (values.json) printJson({ id, did, retired: true, homes: homesOf(key).map(nameOfHome) })
  else tell(policies, key)
  return 0
}

/** A production file is reviewed, and no command writes it. */
async function mark(dir: string, { env }: PolicySet, { id }: KeyConfig): Promise<void> {
  if (env === 'prod') {
    throw new UsageError(`${usage}\nadd \`retired: true\` to key ${id} in keys.yaml, and restart`)
  }
  const path = join(dir, 'keys.yaml')
  await replaceFile(path, withMark(await readFile(path, 'utf8'), id, { retired: true }))
}

function tell(policies: PolicySet, key: KeyConfig): void {
  print(`${key.id} is retired in keys.yaml; from the next start on it signs nothing.`)
  const callers = policies.callers.filter(({ keys }) => keys.includes(key.id))
  for (const { name } of callers) {
    print(`  caller ${name} is denied (POLICY-KEY-IN-FORCE) wherever it asks for this key`)
  }
  print('  identities that list only this key need their recovery key from then on')
  for (const home of homesOf(key).map(nameOfHome)) print(`  its private half is still in ${home}`)
}
