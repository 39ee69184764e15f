import { UsageError } from './command.ts'
import type { Command } from './command.ts'
import { approveRecovery, approveUsage } from './recovery/approve.ts'
import { importResult, importUsage } from './recovery/import.ts'
import { planRecovery, planUsage } from './recovery/plan.ts'
import { recoveryStatus, statusUsage } from './recovery/status.ts'
import { submitCeremony, submitUsage } from './recovery/submit.ts'

const verbs: Readonly<Record<string, Command>> = {
  plan: planRecovery,
  approve: approveRecovery,
  import: importResult,
  submit: submitCeremony,
  status: recoveryStatus,
}

const usage = [planUsage, approveUsage, importUsage, submitUsage, statusUsage].join('\n  ')

export const recovery: Command = async ([verb = '', ...args]) => {
  const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (run === undefined) throw new UsageError(usage)
  return await run(args)
}
