import { logForkAct, parseLogFork } from '../../../src/approval/log-fork.ts'
import { confirmWords } from '../../offline/recovery/confirm.ts'
import { officerKeyUsage } from '../officer-key.ts'
import { approveAct } from '../officers/approve-act.ts'

export const approveForkUsage = `audit fork approve FILE (${officerKeyUsage}) [--policies DIR] [--json]   an officer's word on it; needs neither service nor database`

/** An officer's approval of a fork, as a file beside the request. */
export async function approveFork(args: string[]): Promise<number> {
  return await approveAct(args, {
    usage: approveForkUsage,
    parse: (text, file) => logForkAct(parseLogFork(text, file)),
    ask: async (terminal, digest) => await confirmWords(terminal, { what: 'the request', digest }),
  })
}
