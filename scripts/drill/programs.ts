import { hasNamespaces, runCeremony, runCommand } from '../../test/support/run-command.ts'
import type { Ran } from '../../test/support/run-command.ts'

/** @throws Error with the words of the command */
export function requireDone(ran: Ran, what: string, codes: readonly number[] = [0]): Ran {
  if (ran.code !== null && codes.includes(ran.code)) return ran
  throw new Error(`${what} ended with ${ran.code}: ${ran.err.trim() || ran.out.trim()}`)
}

export type Online = (
  args: readonly string[],
  input?: string,
  codes?: readonly number[],
) => Promise<Ran>

/** `scripts/holdfast` with the data directory of one deployment. */
export function onlineAt(dataDir: string, plcUrl: string): Online {
  return async (args, input = '', codes = [0]) =>
    requireDone(
      await runCommand(args, {
        env: { HOLDFAST_DATA_DIR: dataDir, HOLDFAST_PLC_URL: plcUrl, HOLDFAST_PORT: '0' },
        input,
      }),
      args.slice(0, 2).join(' '),
      codes,
    )
}

export type Offline = (args: readonly string[], input?: string) => Promise<Ran>

/** `scripts/ceremony`, in a network namespace without any interface where the system has them. */
export function offlineIn(dir: string): { readonly run: Offline; readonly isolated: boolean } {
  const isolated = hasNamespaces()
  const wrapper = isolated ? ['unshare', '-n'] : []
  return {
    isolated,
    run: async (args, input = '') =>
      requireDone(
        await runCeremony(args, { cwd: dir, env: { HOME: dir }, input, wrapper }),
        `ceremony ${args[0]}`,
      ),
  }
}
