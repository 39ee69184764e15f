import { readFile } from 'node:fs/promises'
import { ConfigError, readEnv, toConfig, toSecrets } from './config.ts'
import type { Config } from './config.ts'
import { createAlarms } from './alarms.ts'
import { createContext } from './context.ts'
import { announce } from './announce.ts'
import { doorsOf } from './doors.ts'
import { listen } from './http/server.ts'
import { startJobs } from './jobs.ts'
import { createLogger } from './logger.ts'
import { toNotifySecrets } from './notifications.ts'
import { addNotice } from './store/notices.ts'

/** Runs the service until it is told to stop; resolves when everything is drained and closed. */
export async function serve(environment: NodeJS.ProcessEnv, workDir: string): Promise<void> {
  const alarms = createAlarms(() => new Date())
  const log = createLogger(alarms.take)
  const env = readEnv(environment)
  const config = toConfig(env, workDir)
  const stopped = stopSignal()
  const context = await createContext({
    config,
    secrets: toSecrets(env),
    notify: toNotifySecrets(env),
    log,
    environment,
    withSigners: true,
  })
  try {
    alarms.keepBy(async (notice) => await addNotice(context.db, notice))
    const { host, port } = config
    const server = await listen(await doorsOf(context, log), {
      host,
      port,
      ...(await readTls(config)),
    })
    await announce(context, { url: server.url, print: (line) => process.stdout.write(`${line}\n`) })
    const jobs = startJobs(context, log)
    log.info({ reason: await stopped }, 'stopping: requests under way are finished first')
    await Promise.all([server.close(), jobs.stop()])
    await alarms.close()
  } finally {
    await context.close()
  }
  log.info({}, 'stopped')
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.once(signal, () => resolve(signal))
    }
  })
}

async function readTls(config: Config): Promise<{ tls?: { cert: string; key: string } }> {
  if (config.tls === null) return {}
  const read = async (name: string, path: string) => {
    try {
      return await readFile(path, 'utf8')
    } catch (cause) {
      throw new ConfigError(`${name}: cannot read ${path}`, { cause })
    }
  }
  return {
    tls: {
      cert: await read('HOLDFAST_TLS_CERT_FILE', config.tls.certFile),
      key: await read('HOLDFAST_TLS_KEY_FILE', config.tls.keyFile),
    },
  }
}
