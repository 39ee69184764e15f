// npm run drill: sets up a PDS and a PLC server beside the clone, then loses a key and recovers from it.
import { folders } from './checks.mjs'
import { launch, preparedOrExit } from './launch.mjs'
import { say } from './setup.mjs'
import { prepareEndToEnd, prepareSystem } from './setup-tests.mjs'

const lacking = prepareSystem()
const obstacle = await prepareEndToEnd(await preparedOrExit(folders)).catch(
  (error) => error.message,
)
if (obstacle === null) await launch('scripts/holdfast.ts', ['drill', ...process.argv.slice(2)])
else {
  say(
    `A drill cannot run: ${obstacle}${lacking.length > 0 ? ` (missing: ${lacking.join(', ')})` : ''}.`,
  )
  process.exitCode = 3
}
