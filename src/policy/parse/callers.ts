import { z } from 'zod'
import { PolicyError } from '../error.ts'
import { parsePdsAddress } from '../pds-address.ts'
import type { CallerConfig, KeyConfig } from '../policy-set.ts'
import type { Roster } from '../roster.ts'
import { malformed, name, oneOrMore, parseFile, refuseRepeats } from './file.ts'

const file = 'callers.yaml'

const callersFile = z.strictObject({
  callers: z.literal('holdfast/callers/v1'),
  list: z.array(
    z.strictObject({
      name,
      keys: oneOrMore(name),
      pds: z.string().max(512).optional(),
      operatedBy: oneOrMore(name).optional(),
    }),
  ),
})

export function parseCallers(
  text: string,
  { keys, roster }: { keys: readonly KeyConfig[]; roster: Roster | null },
): CallerConfig[] {
  const callers = parseFile(file, text, callersFile).list.map((entry) => toCaller(entry))
  refuseRepeats(
    file,
    'name',
    callers.map((caller) => caller.name),
  )
  refuseRepeats(
    file,
    'pds',
    callers.flatMap(({ pds }) => pds ?? []),
  )
  for (const caller of callers) {
    checkKeys(caller, keys)
    checkOperators(caller, roster)
  }
  return callers
}

/** What is left out is not there at all, so that it does not enter the digest. */
function toCaller({
  pds,
  operatedBy,
  ...caller
}: z.infer<typeof callersFile>['list'][number]): CallerConfig {
  const where = `${file}: caller ${caller.name}`
  return {
    ...caller,
    ...(pds === undefined ? {} : { pds: pdsAddress(where, pds) }),
    ...(operatedBy === undefined ? {} : { operatedBy }),
  }
}

function checkKeys(caller: CallerConfig, keys: readonly KeyConfig[]): void {
  refuseRepeats(file, `key of caller ${caller.name}`, caller.keys)
  for (const id of caller.keys) {
    const where = `${file}: caller ${caller.name}`
    const key = keys.find((candidate) => candidate.id === id)
    if (key === undefined) throw malformed(`${where}: no key ${id} in keys.yaml`)
    if (key.class !== 'online') {
      throw malformed(`${where}: key ${id} is a ${key.class} key; callers use online keys`)
    }
  }
}

/** A misspelt operator would be a requester whose own approval counts. */
function checkOperators({ name: caller, operatedBy = [] }: CallerConfig, roster: Roster | null) {
  refuseRepeats(file, `operatedBy of caller ${caller}`, operatedBy)
  for (const id of operatedBy) {
    if (roster?.persons.some((person) => person.id === id) !== true) {
      throw malformed(`${file}: caller ${caller}: operatedBy: no person ${id} in roster.yaml`)
    }
  }
}

function pdsAddress(where: string, text: string): string {
  try {
    return parsePdsAddress(text)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    throw malformed(`${where}: ${error.message}`)
  }
}
