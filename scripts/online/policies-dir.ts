import { join } from 'node:path'
import { readEnv, toConfig } from '../../src/config.ts'

/** The policy files that are named, or those of this environment. */
export function policiesDir(named: string | undefined): string {
  if (named !== undefined) return named
  const config = toConfig(readEnv(process.env), process.cwd())
  return config.policiesDir ?? join(config.dataDir, 'policies')
}
