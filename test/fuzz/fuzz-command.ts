import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../../scripts/fuzz/run.ts', import.meta.url))

export const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

export type Part = {
  readonly growthMb: number
  readonly seconds: number
  readonly outcomes: Record<string, number>
  readonly statuses: Record<string, number>
}
export type Fuzzed = { readonly code: number | null; readonly findings: string[] } & {
  readonly parser?: Part
  readonly door?: Part
}

/** `npm run fuzz -- ARGS…` in a process of its own, whose memory is nobody else's. */
export async function fuzz(...args: string[]): Promise<Fuzzed> {
  const child = spawn(process.execPath, [script, ...args, '--seed', String(seed), '--json'], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  const last = out.trimEnd().split('\n').at(-1) ?? ''
  return { ...(JSON.parse(last === '' ? '{"findings":["it died"]}' : last) as Fuzzed), code }
}
