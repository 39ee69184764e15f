import type { HoldfastClient } from '../../../src/client/client.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { withOfficerKey } from '../officer-key.ts'
import type { OfficerKeyValues } from '../officer-key.ts'
import { openOfficerClient } from './client.ts'

/** For one command: a client whose calls the officer's own key signs. */
export async function asOfficer<T>(
  values: OfficerKeyValues & { readonly url?: string | undefined },
  usage: string,
  use: (client: HoldfastClient) => Promise<T>,
): Promise<T> {
  const terminal = openTerminal()
  try {
    return await withOfficerKey(values, { usage, terminal }, async (key) => {
      return await use(openOfficerClient(values.url, key).client)
    })
  } finally {
    terminal.close()
  }
}
