import { SignerError } from '../signer.ts'
import { parseFromAdminChild } from './admin-protocol.ts'
import type { AdminCommand, FromAdminChild, ToAdminChild } from './admin-protocol.ts'
import { startChild } from './child-link.ts'
import { createExchange } from './exchange.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { LatchedError, NotTriedError, failureOfLogin, loginOnce } from './login.ts'
import type { PinSource } from './pin-file.ts'
import type { TokenUri } from './uri.ts'

/** A token as a command reaches it. The service has no way to any of this. */
export type TokenAccess = {
  readonly uri: TokenUri
  readonly pin: PinSource
  /** The service's own: a wrong PIN counts whoever tried it. */
  readonly latchDir: string
  readonly environment: NodeJS.ProcessEnv
}

const CHILD = new URL('admin-child.ts', import.meta.url)
// Some HSMs take long to make a key.
const COMMAND_MS = 60_000
const WATCH_MS = 100

type Answer = Exclude<FromAdminChild, { kind: 'failed' }>
type Result = Extract<FromAdminChild, { kind: 'result' }>

/**
 * A child for one command. As in the service, the PIN is tried once and a login is not cut off.
 * @throws SignerError `unavailable`; `timeout` when what became of it is unknown
 */
export async function runCommand(access: TokenAccess, command: AdminCommand): Promise<Result> {
  const exchange = createExchange<Answer>()
  const end = (code: 'unavailable' | 'timeout', message: string) =>
    exchange.end(new SignerError(code, message))
  const link = startChild<FromAdminChild, ToAdminChild>({
    program: CHILD,
    environment: access.environment,
    parse: parseFromAdminChild,
    receive: (message) => {
      if (message.kind === 'failed') end('unavailable', message.failure.message)
      else exchange.hear(message)
    },
    garbled: () => end('unavailable', 'the child said what it cannot say'),
  })
  void link.gone.then(() => end('timeout', 'the child process died; look with keys list'))
  const watch = setInterval(() => {
    const late = exchange.overdue(0)
    if (late !== null) end('timeout', `no answer of the token (${late}); look with keys list`)
  }, WATCH_MS)
  try {
    const { modulePath, token } = access.uri
    link.send({ kind: 'open', modulePath, token })
    const found = await exchange.next('found', DEFAULT_LIMITS.startMs)
    if (found.needsLogin) {
      await logIn(access, found, async (pin) => {
        link.send({ kind: 'login', pin })
        return failureOfLogin(await exchange.next('login-answer', DEFAULT_LIMITS.loginMs))
      })
    }
    link.send({ kind: 'run', command })
    return await exchange.next('result', COMMAND_MS)
  } finally {
    clearInterval(watch)
    link.kill()
  }
}

async function logIn(
  { latchDir, pin }: TokenAccess,
  { serial, pin: pinState }: Extract<FromAdminChild, { kind: 'found' }>,
  tryPin: Parameters<typeof loginOnce>[0]['tryPin'],
): Promise<void> {
  const { loginMs } = DEFAULT_LIMITS
  try {
    await loginOnce({ latchDir, serial, pinState, pin, loginMs, tryPin })
  } catch (error) {
    if (error instanceof NotTriedError) throw new SignerError('unavailable', error.message)
    if (!(error instanceof LatchedError)) throw error
    const remedy = `look, then run: holdfast keys unlatch ${serial}`
    const message = `token ${serial} is latched: ${error.message}; ${remedy}`
    throw new SignerError('unavailable', message, { cause: error })
  }
}
