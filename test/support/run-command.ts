import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const holdfast = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))

export type Ran = { readonly code: number | null; readonly out: string; readonly err: string }

/** `scripts/holdfast ARGS…` as a process of its own, with this environment and no other. */
export async function runCommand(
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; input?: string } = {},
): Promise<Ran> {
  const { env = {}, cwd, input = '' } = options
  const child = spawn(process.execPath, [holdfast, ...args], {
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
