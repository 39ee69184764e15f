// npm test: sets up what the tests use, then checks and runs everything. Its last line is the sum.
// Arguments are passed to vitest: npm test -- test/plc
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bin, folders, runChecks } from './checks.mjs'
import { preparedOrExit } from './launch.mjs'
import { root, say } from './setup.mjs'
import { prepareEndToEnd, prepareKmsEmulator, prepareSystem } from './setup-tests.mjs'

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Sum
 * @typedef {import('./setup.mjs').Prepared} Prepared
 */

const endToEnd = 'test/e2e'
const args = process.argv.slice(2)
const paths = args.filter((arg) => arg.startsWith('test/'))
const others = args.filter((arg) => !arg.startsWith('test/'))
const isEndToEnd = (/** @type {string} */ path) => path.startsWith(endToEnd)

const lacking = prepareSystem()
if (lacking.length > 0) say(`Tests that need ${lacking.join(', ')} cannot run: install them.`)
const prepared = await preparedOrExit(folders)
const withoutKms = await prepareKmsEmulator(prepared)
if (withoutKms !== null) say(`Tests that need an emulator of AWS KMS cannot run: ${withoutKms}.`)
/** @type {Sum[]} */
const sums = []
if (args.length === 0) sums.push({ ...(await runChecks(prepared)), skipped: 0 })
if (paths.length === 0 || !paths.every(isEndToEnd)) {
  const chosen = paths.filter((path) => !isEndToEnd(path))
  sums.push(await runTests(prepared, [...chosen, ...others]))
}
if (paths.length === 0 || paths.some(isEndToEnd)) {
  const chosen = paths.filter(isEndToEnd).map((path) => path.slice(endToEnd.length + 1))
  sums.push(await runEndToEnd(prepared, [...chosen.filter((path) => path !== ''), ...others]))
}
report(sums)

/** @param {Prepared} prepared @param {string[]} args @returns {Promise<Sum>} */
async function runEndToEnd(prepared, args) {
  const config = join(endToEnd, 'vitest.config.ts')
  if (!existsSync(join(root, config))) return { passed: 0, failed: 0, skipped: 0 }
  const obstacle = await prepareEndToEnd(prepared).catch((error) => String(error.message))
  if (obstacle === null) return runTests(prepared, ['--config', config, ...args])
  say(`The end-to-end tests are skipped: ${obstacle}.`)
  return { passed: 0, failed: 0, skipped: 1 }
}

/** @param {Prepared} prepared @param {string[]} args @returns {Promise<Sum>} */
async function runTests(prepared, args) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-report-'))
  const file = join(folder, 'report.json')
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
    const run = ['run', '--passWithNoTests', ...reporters, ...args]
    const ok = await bin(prepared, 'vitest/vitest.mjs', run)
    return read(file, ok)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * An error outside of a test fails the run without failing a test, so the exit code counts too.
 *
 * @param {string} file
 * @param {boolean} ok
 * @returns {Sum}
 */
function read(file, ok) {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0 }
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const failed = Math.max(report.numFailedTests, ok ? 0 : 1)
  const skipped = report.numPendingTests + report.numTodoTests
  return { passed: report.numPassedTests, failed, skipped }
}

/** @param {Sum[]} sums */
function report(sums) {
  const total = (/** @type {keyof Sum} */ name) => sums.reduce((sum, part) => sum + part[name], 0)
  const [passed, failed, skipped] = [total('passed'), total('failed'), total('skipped')]
  const incomplete = process.env['CI'] === 'true' && skipped > 0
  if (incomplete) say('Skipped tests fail a run with CI=true: a real part is missing.')
  process.exitCode = passed === 0 || failed > 0 || incomplete ? 1 : 0
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`)
}
