// The checks that need no test run: types, lint, format, migrations.
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { follow } from './launch.mjs'
import { root, say } from './setup.mjs'

/** The folders with a lockfile that types and tests need. */
export const folders = ['.', 'test/e2e', 'test/openapi']

/** @typedef {import('./setup.mjs').Prepared} Prepared */

/** @type {Record<string, (prepared: Prepared) => Promise<boolean>>} */
const checks = {
  types: (prepared) => bin(prepared, 'typescript/bin/tsc', ['--noEmit']),
  lint: (prepared) => bin(prepared, 'oxlint/bin/oxlint', ['--type-aware', '--deny-warnings']),
  format: (prepared) => bin(prepared, 'oxfmt/bin/oxfmt', ['--check']),
  migrations: migrationsAreWhole,
}

/**
 * Runs all of them, so that one run shows everything.
 *
 * @param {Prepared} prepared
 * @returns {Promise<{ passed: number, failed: number }>}
 */
export async function runChecks(prepared) {
  const failed = []
  for (const [name, check] of Object.entries(checks)) {
    say(`Checking ${name} …`)
    if (!(await check(prepared))) failed.push(name)
  }
  if (failed.length > 0) say(`These checks failed: ${failed.join(', ')}`)
  return { passed: Object.keys(checks).length - failed.length, failed: failed.length }
}

/**
 * A program of node_modules, in the clone.
 *
 * @param {Prepared} prepared
 * @param {string} program
 * @param {string[]} args
 */
export async function bin({ node, env }, program, args) {
  process.chdir(root)
  const { code } = await follow(node, [join(root, 'node_modules', program), ...args], env)
  return code === 0
}

/**
 * Generates migrations into a copy: a new one means that the schema changed without it.
 *
 * @param {Prepared} prepared
 */
async function migrationsAreWhole(prepared) {
  const copy = mkdtempSync(join(tmpdir(), 'holdfast-migrations-'))
  try {
    cpSync(join(root, 'src/store/migrations'), copy, { recursive: true })
    const before = readdirSync(copy).length
    const out = `--out=${relative(root, copy)}`
    const args = ['generate', '--dialect=postgresql', '--schema=src/store/schema.ts', out]
    const ok = await bin(prepared, 'drizzle-kit/bin.cjs', args)
    const added = readdirSync(copy).length - before
    if (added > 0) say('The schema has changes without a migration: npx drizzle-kit generate')
    return ok && added === 0
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
