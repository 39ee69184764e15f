// npm run check: types, lint, format, migrations and the architecture's rules.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { bin, folders, runChecks } from './checks.mjs'
import { preparedOrExit } from './launch.mjs'
import { root } from './setup.mjs'

const prepared = await preparedOrExit(folders)
const { failed } = await runChecks(prepared)
const architecture = 'test/architecture.test.ts'
const holds =
  !existsSync(join(root, architecture)) ||
  (await bin(prepared, 'vitest/vitest.mjs', ['run', architecture]))
process.exitCode = failed === 0 && holds ? 0 : 1
