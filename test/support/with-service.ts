import { toConfig, toSecrets } from '../../src/config.ts'
import { createContext } from '../../src/context.ts'
import type { Context } from '../../src/context.ts'
import { createLogger } from '../../src/logger.ts'

/** The service as a start in this environment makes it; without its doors. */
export async function withService<T>(
  { env, dir }: { readonly env: Readonly<Record<string, string>>; readonly dir: string },
  use: (context: Context) => Promise<T>,
): Promise<T> {
  const log = createLogger()
  log.level = 'silent'
  const context = await createContext({
    config: toConfig(env, dir),
    secrets: toSecrets(env),
    log,
    withSigners: true,
  })
  try {
    return await use(context)
  } finally {
    await context.close()
  }
}
