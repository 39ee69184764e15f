// npm test: sets up what the tests use, then checks and runs everything. Its last line is the sum.
// Arguments are passed to vitest: npm test -- test/plc
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bin, folders, runChecks } from './checks.mjs'
import { preparedOrExit } from './launch.mjs'
import { root, say } from './setup.mjs'
import {
  prepareEndToEnd,
  prepareKmsEmulator,
  prepareSystem,
  prepareWitness,
} from './setup-tests.mjs'

/**
 * @typedef {{ passed: number, failed: number, skipped: number, failures: string[] }} Sum
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
const withoutWitness = await prepareWitness(prepared)
if (withoutWitness !== null) say(`Tests that need a witness cannot run: ${withoutWitness}.`)
/** @type {Sum[]} */
const sums = []
if (args.length === 0) sums.push({ ...(await runChecks(prepared)), skipped: 0, failures: [] })
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
  if (!existsSync(join(root, config))) return { passed: 0, failed: 0, skipped: 0, failures: [] }
  const obstacle = await prepareEndToEnd(prepared).catch((error) => String(error.message))
  if (obstacle === null) return runTests(prepared, ['--config', config, ...args])
  say(`The end-to-end tests are skipped: ${obstacle}.`)
  return { passed: 0, failed: 0, skipped: 1, failures: [] }
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
  if (!existsSync(file))
    return { passed: 0, failed: 1, skipped: 0, failures: ['the run ended without a report'] }
  const report = JSON.parse(readFileSync(file, 'utf8'))
  const failed = Math.max(report.numFailedTests, ok ? 0 : 1)
  const skipped = report.numPendingTests + report.numTodoTests
  const failures = failuresIn(report)
  if (failed > failures.length) failures.push('an error outside of a test: look for "Unhandled"')
  return { passed: report.numPassedTests, failed, skipped, failures }
}

/** @param {{ testResults: { name: string, message?: string, assertionResults: { status: string, fullName: string, failureMessages?: string[] }[] }[] }} report */
function failuresIn({ testResults }) {
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = name.startsWith(root) ? name.slice(root.length + 1) : name
    const failed = assertionResults.filter(({ status }) => status === 'failed')
    const lines = failed.map(({ fullName, failureMessages = [] }) => {
      const [first = ''] = (failureMessages[0] ?? '').split('\n')
      return `${file}: ${fullName}: ${first.slice(0, 300)}`
    })
    // A file that cannot even be loaded has no tests.
    if (lines.length > 0 || !message) return lines
    return [`${file}: ${message.split('\n')[0]?.slice(0, 300)}`]
  })
}

/** @param {Sum[]} sums */
function report(sums) {
  const total = (/** @type {'passed' | 'failed' | 'skipped'} */ name) =>
    sums.reduce((sum, part) => sum + part[name], 0)
  const [passed, failed, skipped] = [total('passed'), total('failed'), total('skipped')]
  const incomplete = process.env['CI'] === 'true' && skipped > 0
  if (incomplete) say('Skipped tests fail a run with CI=true: a real part is missing.')
  for (const failure of sums.flatMap(({ failures }) => failures)) {
    process.stdout.write(`failed: ${failure}\n`)
  }
  process.exitCode = passed === 0 || failed > 0 || incomplete ? 1 : 0
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`)
}
