// The process in which a command makes, lists or tries keys: one command, then the end. The service
// starts `child.ts` instead, which has none of this.
import type { AdminCommand, FromAdminChild, ToAdminChild } from './admin-protocol.ts'
import { createPair, importPair } from './make-key.ts'
import { StepError, failureOf, findToken, login, openModule, readPinState } from './module.ts'
import type { Handle, Module } from './module.ts'
import { probeDigest } from './probe.ts'
import type { Failure } from './protocol.ts'
import { readKeys } from './read-key.ts'
import { createSessionPool } from './session-pool.ts'

type Opened = { readonly module: Module; readonly session: () => Handle }
type Result = Omit<Extract<FromAdminChild, { kind: 'result' }>, 'kind'>

const CKM_ECDSA = 0x1041

let opened: Opened | null = null

process.on('message', (message) => {
  try {
    receive(message as ToAdminChild)
  } catch (error) {
    send({ kind: 'failed', failure: failureOf('command', error) })
  }
})
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

function receive(message: ToAdminChild): void {
  switch (message.kind) {
    case 'open':
      return open(message)
    case 'login':
      return logIn(known(), message.pin)
    case 'run':
      return send({ kind: 'result', ...run(known(), message.command) })
  }
}

function open({ modulePath, token: match }: Extract<ToAdminChild, { kind: 'open' }>): void {
  const module = openModule(modulePath)
  const token = findToken(module, match)
  const pool = createSessionPool(module, token, { size: 1, writable: true })
  const place = pool.take()
  if (place === null) throw new TypeError('an empty pool')
  opened = { module, session: () => pool.validate(place).handle }
  const pin = readPinState(module, token.slot)
  send({ kind: 'found', serial: token.serial, needsLogin: token.needsLogin, pin })
}

function logIn({ module, session }: Opened, pin: Uint8Array): void {
  let failure: Failure | null = null
  let tried = false
  try {
    const open = session()
    tried = true
    login(module, open, pin)
  } catch (error) {
    failure = failureOf(tried ? 'C_Login' : 'session', error)
  }
  pin.fill(0)
  send({ kind: 'login-answer', failure, tried })
}

function run({ module, session: open }: Opened, command: AdminCommand): Result {
  const session = open()
  const facts = (label: string | null, id: Uint8Array | null) =>
    readKeys(module, session, { label, id }).map((key) => key.facts)
  switch (command.kind) {
    case 'create': {
      const made = createPair(module, session, command)
      return { keys: made ? facts(command.label, command.id) : [], signature: null }
    }
    case 'import': {
      const made = importPair(module, session, command)
      command.secret.fill(0)
      return { keys: made ? facts(command.label, command.id) : [], signature: null }
    }
    case 'list':
      return { keys: facts(null, null), signature: null }
    case 'prove':
      return prove(module, session, command)
  }
}

/** The digest is built here: this process signs nothing that anybody could have chosen. */
function prove(
  module: Module,
  session: Handle,
  command: Extract<AdminCommand, { kind: 'prove' }>,
): Result {
  const found = readKeys(module, session, command.match)
  const [key, another] = found
  const keys = found.map(({ facts }) => facts)
  if (key === undefined || another !== undefined) return { keys, signature: null }
  module.C_SignInit(session, { mechanism: CKM_ECDSA }, key.handle)
  const signature = module.C_Sign(
    session,
    Buffer.from(probeDigest(command.nonce)),
    Buffer.alloc(256),
  )
  return { keys, signature }
}

function send(message: FromAdminChild): void {
  if (process.connected) process.send?.(message)
}

function known(): Opened {
  if (opened !== null) return opened
  throw new StepError('open', 'discard', 'the parent has not opened a token')
}
