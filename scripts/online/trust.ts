import { parseArgs } from 'node:util'
import { formatVkey } from '../../src/audit/note.ts'
import { firstHeld } from '../../src/open-log.ts'
import {
  checkpointSigner,
  makeCheckpointKey,
  openCheckpointKey,
} from '../../src/sequencer/checkpoint-key.ts'
import { UsageError, print, printJson, withContext } from './command.ts'
import type { Command } from './command.ts'

const usage = 'trust init [--json]'

export const trust: Command = async ([verb, ...args]) => {
  if (verb !== 'init') throw new UsageError(usage)
  const { values } = parseArgs({ args, options: { json: { type: 'boolean' } } })
  return await init(values.json === true)
}

/** Makes the checkpoint key and the held record of a log that begins; never of one that is there. */
async function init(json: boolean): Promise<number> {
  return await withContext(async ({ config, auditLog }) => {
    if ((await auditLog.held.read()) !== null) {
      process.stderr.write('there is a held record already; it is left as it is\n')
      return 1
    }
    if (!(await auditLog.store.isEmpty())) {
      process.stderr.write(
        'the log in the database is not empty: its held record is lost, or this is a restored backup; see docs/operations.md\n',
      )
      return 1
    }
    await makeCheckpointKey(config.checkpointKeyFile)
    const key = await openCheckpointKey(config.checkpointKeyFile)
    if (key === null) throw new Error(`${config.checkpointKeyFile} went away`)
    const { storeId, origin } = await auditLog.held.create(firstHeld(config))
    const vkey = formatVkey(checkpointSigner(key, origin).key)
    if (json) printJson({ store: storeId, origin, vkey })
    else {
      print(`The log is ${origin}. Its checkpoints are signed by`)
      print(vkey)
      print('Give that line to your auditors, and restart the service.')
    }
    return 0
  })
}
