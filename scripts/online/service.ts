import { ConfigError, readEnv, toConfig, toSecrets } from '../../src/config.ts'
import { prepareDataDir } from '../../src/data-dir.ts'
import { createLogger } from '../../src/logger.ts'
import { serve } from '../../src/main.ts'
import { openDatabase } from '../../src/store/connect.ts'
import { UsageError, print } from './command.ts'
import type { Command } from './command.ts'

export const serveCommand: Command = async (args) => {
  if (args.length > 0) throw new UsageError('serve (settings come from the environment)')
  await serve(process.env, process.cwd())
  return 0
}

export const migrateCommand: Command = async (args) => {
  if (args.length > 0) throw new UsageError('migrate (settings come from the environment)')
  const env = readEnv(process.env)
  const config = toConfig(env, process.cwd())
  await prepareDataDir(config)
  const log = createLogger()
  log.level = 'warn'
  const secrets = toSecrets(env)
  if (secrets.databaseUrl !== null && secrets.databaseOwnerUrl === null) {
    throw new ConfigError(
      "DATABASE_OWNER_URL: is missing; migrating needs the database's owner, and DATABASE_URL names the role to grant to",
    )
  }
  const database = await openDatabase({ ...secrets, dataDir: config.dataDir, log })
  await database.close()
  print('the schema is up to date')
  return 0
}
