import { parseArgs } from 'node:util'
import { withContext, print, printJson, UsageError } from '../command.ts'
import { officerKeyOptions, officerKeyUsage, withOfficerKey } from '../officer-key.ts'
import { openOfficerClient } from '../officers/client.ts'
import { reportRefusal } from '../service-client.ts'
import { Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'

export const freezeUsage = `freeze [--caller NAME | --key ID] (${officerKeyUsage}) [--url URL] [--json]   one officer stops signing, for everything or in part, within two seconds; on the host of a set without officers: freeze [--caller NAME | --key ID]`

/** By an officer, a signed call to the service; at the host of a set without officers, by whoever sits there. */
export async function freeze(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      ...officerKeyOptions,
      caller: { type: 'string' },
      key: { type: 'string' },
      url: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { caller, key: keyId, json, url } = values
  if (caller !== undefined && keyId !== undefined) throw new UsageError(freezeUsage)
  const scope =
    caller === undefined ? (keyId === undefined ? 'all' : `key ${keyId}`) : `caller ${caller}`
  if (values['key-file'] === undefined && values.token === undefined) {
    return await freezeHere(scope, json)
  }
  const terminal = openTerminal()
  try {
    return await withOfficerKey(values, { usage: freezeUsage, terminal }, async (key) => {
      try {
        const { client } = openOfficerClient(url, key)
        return tell((await client.freeze({ scope })).frozen, json)
      } catch (error) {
        return reportRefusal(error, json)
      }
    })
  } finally {
    terminal.close()
  }
}

async function freezeHere(scope: string, json: boolean): Promise<number> {
  return await withContext(async ({ policies, freeze: freezeSigning }) => {
    if (policies.roster !== null) {
      throw new Refusal(
        'the policy set in force has officers: one of them freezes (--key-file, --token)',
      )
    }
    return tell(await freezeSigning({ scope, by: 'operator' }), json)
  })
}

function tell(frozen: readonly string[], json: boolean): number {
  if (json) printJson({ frozen })
  else print(`FROZEN: ${frozen.join(', ')}`)
  return 0
}
