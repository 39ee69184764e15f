import { setTimeout as sleep } from 'node:timers/promises'

/** Where a process is killed: before a step is taken, or while it is on its way. null: nowhere. */
export type DieAt = { readonly step: number; readonly when: 'before' | 'during' } | null

/** Counts the steps of this process by their names, and dies by kill -9 at the one that is named. */
export function dieAtStep(dieAt: DieAt) {
  const taken: string[] = []
  return {
    taken: taken as readonly string[],
    step: async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      taken.push(name)
      if (taken.length - 1 !== dieAt?.step) return await work()
      if (dieAt.when === 'during') {
        work().catch(() => {})
        await sleep(Math.random() * 3)
      }
      process.kill(process.pid, 'SIGKILL')
      return await new Promise(() => {})
    },
  }
}
