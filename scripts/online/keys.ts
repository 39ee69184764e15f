import { UsageError } from './command.ts'
import type { Command } from './command.ts'
import { checkKeys } from './keys/check.ts'
import { createKey } from './keys/create.ts'
import { importKey } from './keys/import.ts'
import { listKeys } from './keys/list.ts'
import { retireKey } from './keys/retire.ts'
import { unlatchToken } from './keys/unlatch.ts'

const verbs: Readonly<Record<string, Command>> = {
  list: listKeys,
  create: createKey,
  import: importKey,
  check: checkKeys,
  retire: retireKey,
  unlatch: unlatchToken,
}

export const keys: Command = async ([verb = '', ...args]) => {
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (run === undefined) throw new UsageError(`keys ${Object.keys(verbs).join('|')} …`)
  return await run(args)
}
