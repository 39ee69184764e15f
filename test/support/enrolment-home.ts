import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { removeDataDir } from './data-dir.ts'

const root = dirname(dirname(import.meta.dirname))

export type Finished = {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A data directory and policies of its own, with one caller who may use one key; and the command line. */
export type EnrolmentHome = {
  readonly dir: string
  readonly dataDir: string
  readonly env: NodeJS.ProcessEnv
  spawn(args: readonly string[]): ChildProcess
  /** Runs a command to its end. */
  run(args: readonly string[], input?: string): Promise<Finished>
  remove(): Promise<void>
}

export async function makeEnrolmentHome(options: {
  keyDid: string
  plcUrl?: string
  pds?: string
}): Promise<EnrolmentHome> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-enrol-')))
  await chmod(dir, 0o711)
  const policies = join(dir, 'policies')
  await mkdir(policies)
  await writePolicies(policies, options)
  const dataDir = join(dir, 'data')
  const env: NodeJS.ProcessEnv = {
    PATH: process.env['PATH'],
    HOLDFAST_DATA_DIR: dataDir,
    HOLDFAST_POLICIES_DIR: policies,
    // A port where nobody listens: a command that asks the directory all the same shows it.
    HOLDFAST_PLC_URL: options.plcUrl ?? 'http://127.0.0.1:1',
  }
  const home: EnrolmentHome = {
    dir,
    dataDir,
    env,
    spawn: (args) =>
      spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', join(root, 'scripts/holdfast.ts'), ...args],
        { env, cwd: dir },
      ),
    run: async (args, input) => await finish(home.spawn(args), input),
    remove: async () => {
      await removeDataDir(dataDir)
      await rm(dir, { recursive: true, force: true })
    },
  }
  return home
}

async function writePolicies(
  dir: string,
  { keyDid, pds }: { keyDid: string; pds?: string },
): Promise<void> {
  const key = { id: 'pds', class: 'online', curve: 'K-256', did: keyDid, uri: 'file:pds' }
  const caller = { name: 'pds', keys: ['pds'], ...(pds === undefined ? {} : { pds }) }
  const write = async (name: string, content: object) =>
    await writeFile(join(dir, name), JSON.stringify(content))
  await write('keys.yaml', { keys: 'holdfast/keys/v1', list: [key] })
  await write('callers.yaml', { callers: 'holdfast/callers/v1', list: [caller] })
  const shipped = await readFile(join(root, 'policies/policy.yaml'))
  await writeFile(join(dir, 'policy.yaml'), shipped)
}

export async function finish(child: ChildProcess, input?: string): Promise<Finished> {
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin?.on('error', () => {})
  child.stdin?.end(input ?? '')
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (ended) => resolve(ended))
  })
  const text = (chunks: Buffer[]) => Buffer.concat(chunks).toString('utf8')
  return { code, stdout: text(stdout), stderr: text(stderr) }
}

/** The JSON lines that a command printed. */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
