import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, removeFolder } from './folder.ts'
import { startPds } from './pds.ts'
import type { Pds } from './pds.ts'
import { startPlcServer } from './plc-server.ts'
import type { PlcServer } from './plc-server.ts'

/** The real PLC server and, once asked for, the real PDS; ended and removed in reverse order. */
export type Stack = {
  dir: string
  plc: PlcServer
  /**
   * @param env the rotation key's variables
   * @param as its folder, for a second one; its port, when it is started again
   */
  startPds(env: Record<string, string>, as?: { name?: string; port?: number }): Promise<Pds>
  /** Called before the PLC server stops, latest first. */
  atEnd(work: () => Promise<unknown>): void
  stop(): Promise<void>
}

export async function startStack(): Promise<Stack> {
  const dir = await makeFolder()
  const plc = await startPlcServer(dir)
  const ends: (() => Promise<unknown>)[] = [() => removeFolder(dir), () => plc.stop()]
  return {
    dir,
    plc,
    startPds: async (env, { name = 'pds', ...as } = {}) => {
      const home = join(dir, name)
      await mkdir(home, { recursive: true })
      const pds = await startPds({ plcUrl: plc.url, dir: home, env, ...as })
      ends.push(() => pds.stop())
      return pds
    },
    atEnd: (work) => void ends.push(work),
    stop: async () => {
      for (let end = ends.pop(); end !== undefined; end = ends.pop()) await end()
    },
  }
}
