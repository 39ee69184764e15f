import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { AccessKey } from './aws-client.ts'

/** The real service in a process of its own, doors and all, as an operator starts it. */
export type ServiceProcess = {
  readonly url: string
  /** What the first start printed for the PDS; null for a later one. */
  readonly credential: AccessKey | null
  stop(): Promise<void>
}

const main = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))

export async function startServiceProcess(options: {
  dataDir: string
  databaseUrl: string
  plcUrl: string
  /** What vendors' modules see. */
  environment?: Readonly<Record<string, string>>
}): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [main, 'serve'], {
    env: {
      ...options.environment,
      PATH: process.env['PATH'],
      HOLDFAST_DATA_DIR: options.dataDir,
      HOLDFAST_PORT: '0',
      HOLDFAST_PLC_URL: options.plcUrl,
      DATABASE_URL: options.databaseUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  let logged = ''
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()))
  // Only the end is of interest, and only if the start fails; but it must be read.
  child.stderr.on('data', (chunk: Buffer) => (logged = `${logged}${chunk.toString()}`.slice(-4000)))
  const ended = once(child, 'exit')
  for (;;) {
    const what = await Promise.race([once(child.stdout, 'data'), ended.then(() => 'ended')])
    if (what === 'ended') throw new Error(`the service did not start:\n${printed}\n${logged}`)
    if (/^(PDS_DID_PLC_URL=|What a PDS needs in its environment is in)/m.test(printed)) break
  }
  return {
    url: /Holdfast is at (http\S+)/.exec(printed)?.[1] ?? '',
    credential: credentialIn(printed),
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

function credentialIn(printed: string): AccessKey | null {
  const accessKeyId = /^AWS_ACCESS_KEY_ID=(.+)$/m.exec(printed)?.[1]
  const secretAccessKey = /^AWS_SECRET_ACCESS_KEY=(.+)$/m.exec(printed)?.[1]
  return accessKeyId === undefined || secretAccessKey === undefined
    ? null
    : { accessKeyId, secretAccessKey }
}
