import { chmod, mkdtemp, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { removeDataDir } from './data-dir.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    postgresDataDir: string
  }
}

/**
 * One private Postgres for a whole run, in a folder of its own. The first file that wants a database
 * starts it, so a run of pure tests pays nothing; here it is only named, and removed at the end.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-test-')))
  // Where root runs the tests, Postgres's own user must pass through.
  await chmod(dataDir, 0o711)
  project.provide('postgresDataDir', dataDir)
  return () => removeDataDir(dataDir)
}
