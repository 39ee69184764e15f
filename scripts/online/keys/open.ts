import { readEnv, toConfig, toSecrets } from '../../../src/config.ts'
import type { Config } from '../../../src/config.ts'
import { openSealer, prepareDataDir } from '../../../src/data-dir.ts'
import { createLogger } from '../../../src/logger.ts'
import type { Sealer } from '../../../src/sealing/sealer.ts'
import { openDatabase } from '../../../src/store/connect.ts'
import type { Database } from '../../../src/store/database.ts'

/** What the commands about keys stand on. None of them opens a key of the service. */
export type Ground = {
  readonly config: Config
  readonly sealer: Sealer
  /** For vendors' modules and SDKs. */
  readonly environment: NodeJS.ProcessEnv
}

export async function openGround(): Promise<Ground> {
  const config = toConfig(readEnv(process.env), process.cwd())
  await prepareDataDir(config)
  return { config, sealer: await openSealer(config), environment: process.env }
}

/** With the record at hand: before a key is made or changed, so that its entry can be written. */
export async function withRecord<T>(
  use: (ground: Ground & { readonly db: Database }) => Promise<T>,
): Promise<T> {
  const ground = await openGround()
  const log = createLogger()
  log.level = 'warn'
  const secrets = toSecrets(readEnv(process.env))
  const database = await openDatabase({ ...secrets, dataDir: ground.config.dataDir, log })
  try {
    return await use({ ...ground, db: database.db })
  } finally {
    await database.close()
  }
}
