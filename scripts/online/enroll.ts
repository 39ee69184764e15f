import { parseArgs } from 'node:util'
import { DirectoryError } from '../../src/directory/directory.ts'
import { UsageError, print, printJson, withContext } from './command.ts'
import type { Command } from './command.ts'

const usage = 'enroll DID… [--caller NAME] [--json]'
const DID = /^did:plc:[a-z2-7]{24}$/

export const enrollCommand: Command = async (args) => {
  const { values, positionals: dids } = parseArgs({
    args,
    allowPositionals: true,
    options: { caller: { type: 'string' }, json: { type: 'boolean' } },
  })
  if (dids.length === 0) throw new UsageError(usage)
  const wrong = dids.find((did) => !DID.test(did))
  if (wrong !== undefined)
    throw new UsageError(`${usage}\n${JSON.stringify(wrong)} is not a did:plc`)
  return await withContext(async ({ enroll, policies }) => {
    const caller = values.caller ?? onlyCaller(policies.callers)
    if (!policies.callers.some(({ name }) => name === caller)) {
      throw new UsageError(`${usage}\nno caller ${caller} in callers.yaml`)
    }
    let refused = 0
    let unread = 0
    for (const did of dids) {
      const outcome = await enroll(did, caller).catch((error: unknown) => {
        if (!(error instanceof DirectoryError)) throw error
        return { kind: 'failed' as const, did, reason: error.message }
      })
      if (outcome.kind === 'refused') refused += 1
      if (outcome.kind === 'failed') unread += 1
      if (values.json === true) printJson(outcome)
      else
        print(
          `${did}: ${outcome.kind} ${'head' in outcome ? `at ${outcome.head}` : `(${outcome.reason})`}`,
        )
    }
    if (unread > 0) return 3
    return refused > 0 ? 1 : 0
  })
}

function onlyCaller(callers: readonly { readonly name: string }[]): string {
  const [only, second] = callers
  if (only === undefined || second !== undefined) {
    throw new UsageError(`${usage}\nthere is not exactly one caller; say which with --caller`)
  }
  return only.name
}
