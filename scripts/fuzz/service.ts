import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startDirectory } from '../../test/e2e/support/directory.ts'
import type { AccessKey } from '../../test/support/aws-client.ts'
import { removeDataDir } from '../../test/support/data-dir.ts'
import { HEAP_LIMITS } from './memory.ts'

/** The service in a process of its own, with a private Postgres, file keys and a directory in this one. */
export type FuzzedService = {
  readonly url: string
  readonly key: AccessKey
  /** Resident memory of the service, in bytes, as it says itself. */
  rss(): Promise<number>
  /** @returns what it should not have said or done */
  stop(): Promise<string[]>
}

const main = fileURLToPath(new URL('../holdfast.ts', import.meta.url))

export async function startFuzzedService(): Promise<FuzzedService> {
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-fuzz-'))
  const directory = await startDirectory({ limits: false })
  const flags = [
    // Its life hangs on ours: a run that is killed leaves no service behind.
    `--import=${new URL('../launched.mjs', import.meta.url).href}`,
    `--max-old-space-size=${HEAP_LIMITS.oldMb}`,
    `--max-semi-space-size=${HEAP_LIMITS.semiSpaceMb}`,
  ]
  const child = spawn(process.execPath, [...flags, main, 'serve'], {
    env: {
      HOLDFAST_DATA_DIR: dataDir,
      HOLDFAST_PORT: '0',
      HOLDFAST_PLC_URL: directory.url,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new TypeError('both are pipes')
  const ended = once(child, 'exit') as Promise<[code: number | null]>
  const errors: string[] = []
  onLines(stderr, (line) => {
    // Whatever is no line of the log is a crash's last words.
    if (!line.startsWith('{') || line.includes('"level":"error"')) errors.push(line)
  })
  let printed = ''
  stdout.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')))
  const field = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(printed)?.[1]
  while (field('PDS_DID_PLC_URL') === undefined) {
    const what = await Promise.race([once(stdout, 'data'), ended.then(() => 'ended')])
    if (what === 'ended') throw new Error(`the service did not start:\n${errors.join('\n')}`)
  }
  const url = /Holdfast is at (http\S+)/.exec(printed)?.[1] ?? ''
  return {
    url,
    key: {
      accessKeyId: field('AWS_ACCESS_KEY_ID') ?? '',
      secretAccessKey: field('AWS_SECRET_ACCESS_KEY') ?? '',
    },
    rss: async () => await readRss(url),
    async stop() {
      const early = child.exitCode !== null || child.signalCode !== null
      child.kill('SIGTERM')
      const [code] = await ended
      await directory.stop()
      await removeDataDir(dataDir)
      const crashed = early || code !== 0 ? [`the service ended with code ${code}`] : []
      return [...crashed, ...errors.slice(0, 10)]
    },
  }
}

function onLines(stream: NodeJS.ReadableStream, take: (line: string) => void): void {
  let rest = ''
  stream.on('data', (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString('utf8')}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line)
  })
}

async function readRss(url: string): Promise<number> {
  const response = await fetch(`${url}/metrics`)
  const text = await response.text()
  const found = /^process_resident_memory_bytes (\d+)$/m.exec(text)?.[1]
  if (found === undefined) throw new Error('the service does not say how much memory it has')
  return Number(found)
}
