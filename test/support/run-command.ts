import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const programOf = (name: string) =>
  fileURLToPath(new URL(`../../scripts/${name}.ts`, import.meta.url))
const holdfast = programOf('holdfast')
const ceremony = programOf('ceremony')

export type Ran = { readonly code: number | null; readonly out: string; readonly err: string }

type Options = {
  readonly env?: Record<string, string>
  readonly cwd?: string
  readonly input?: string
  /** For Node, before the program. */
  readonly flags?: readonly string[]
  /** A command that runs it all, such as one that takes the network away. */
  readonly wrapper?: readonly string[]
}

/** Whether `unshare -n` gives a program a network namespace without any interface. */
export const hasNamespaces = (): boolean => spawnSync('unshare', ['-n', 'true']).status === 0

/** `scripts/holdfast ARGS…` as a process of its own, with this environment and no other. */
export async function runCommand(args: readonly string[], options: Options = {}): Promise<Ran> {
  return await runProgram(holdfast, args, options)
}

/** `scripts/ceremony ARGS…` in the same way; or the one file that is built of it. */
export async function runCeremony(
  args: readonly string[],
  options: Options & { program?: string } = {},
): Promise<Ran> {
  return await runProgram(options.program ?? ceremony, args, options)
}

async function runProgram(
  program: string,
  args: readonly string[],
  { env = {}, cwd, input = '', flags = [], wrapper = [] }: Options,
): Promise<Ran> {
  const [command = '', ...rest] = [...wrapper, process.execPath, ...flags, program, ...args]
  const child = spawn(command, rest, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    ...(cwd === undefined ? {} : { cwd }),
  })
  const ran = { code: null as number | null, out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (ran.out += chunk.toString('utf8')))
  child.stderr.on('data', (chunk: Buffer) => (ran.err += chunk.toString('utf8')))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      ran.code = code
      resolve()
    })
  })
  return ran
}
