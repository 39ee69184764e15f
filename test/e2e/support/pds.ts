import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startMain } from './child.ts'
import type { Child } from './child.ts'
import { startMailSink } from './mail-sink.ts'
import type { MailSink } from './mail-sink.ts'

/** A stock `@atproto/pds`, configured by its environment alone. */
export type Pds = {
  /** Its public URL, which is also the endpoint in its users' DID documents. */
  url: string
  mail: MailSink
  child: Child
  /**
   * Why the last call of a method failed: its user sees a bare 500, its operator finds our words in the
   * log, which is written a moment later.
   * @param after how many such lines there were before the call
   */
  lastError(method: string, after?: number): Promise<string>
  errorCount(method: string): number
  stop(): Promise<void>
}

export type PdsOptions = {
  plcUrl: string
  dir: string
  /** The rotation key's variables: a hex key, or the lines that Holdfast prints. */
  env: Record<string, string>
  /** For a PDS that is started again: its users' DID documents name the port. */
  port?: number
}

export async function startPds(options: PdsOptions): Promise<Pds> {
  const mail = await startMailSink()
  const port = options.port ?? (await freePort())
  try {
    const child = await startProcess(options, { port, mailUrl: mail.url })
    const stop = async (): Promise<void> => {
      await child.stop()
      await mail.stop()
    }
    const url = `http://localhost:${port}`
    const errorsOf = (method: string) => errorsIn(child.log(), method)
    return {
      url,
      mail,
      child,
      errorCount: (method) => errorsOf(method).length,
      lastError: async (method, after = 0) => {
        const until = Date.now() + LOG_MS
        while (errorsOf(method).length <= after && Date.now() < until) await sleep(20)
        return errorsOf(method).at(-1) ?? ''
      },
      stop,
    }
  } catch (error) {
    await mail.stop()
    throw error
  }
}

/**
 * Its SQLite binding now and then dies while the process starts: a statement that is collected then
 * looks for an environment that is gone (an assertion of Node's own). A second try is what an operator's
 * supervisor does.
 */
async function startProcess(
  options: PdsOptions,
  { port, mailUrl }: { port: number; mailUrl: string },
): Promise<Child> {
  const start = async () =>
    await startMain({
      args: [join(import.meta.dirname, 'pds-main.ts')],
      env: { ...settings(options, port, mailUrl), ...options.env },
      cwd: options.dir,
      logFile: join(options.dir, 'pds.log'),
      readyMs: 60_000,
    })
  try {
    return (await start()).child
  } catch (error) {
    if (!String(error).includes('RemoveEnvironmentCleanupHook')) throw error
    return (await start()).child
  }
}

const LOG_MS = 3_000

function errorsIn(log: string, method: string): string[] {
  return log
    .split('\n')
    .filter((line) => line.includes('error in xrpc method') && line.includes(method))
    .map((line) => (JSON.parse(line) as { msg: string }).msg)
}

function settings(options: PdsOptions, port: number, smtpUrl: string): Record<string, string> {
  return {
    // a home of its own, so that the AWS SDK finds no profile of the machine's
    HOME: options.dir,
    LOG_ENABLED: 'true',
    PDS_HOSTNAME: 'localhost',
    PDS_PORT: String(port),
    PDS_DEV_MODE: 'true',
    PDS_DATA_DIRECTORY: options.dir,
    PDS_BLOBSTORE_DISK_LOCATION: join(options.dir, 'blobs'),
    PDS_DID_PLC_URL: options.plcUrl,
    PDS_SERVICE_HANDLE_DOMAINS: '.test',
    PDS_INVITE_REQUIRED: 'false',
    PDS_EMAIL_SMTP_URL: smtpUrl,
    PDS_EMAIL_FROM_ADDRESS: 'pds@pds.test',
    PDS_JWT_SECRET: randomBytes(16).toString('hex'),
    PDS_DPOP_SECRET: randomBytes(32).toString('hex'),
    PDS_ADMIN_PASSWORD: randomBytes(16).toString('hex'),
  }
}

/** The PDS writes its port into DID documents, so it must be told one before it starts. */
async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
