// Child side only.
import { CKR_SESSION_COUNT } from './ckr.ts'
import type { CkrClass } from './ckr.ts'
import { KeyFaultError } from './key-table.ts'
import type { KeyTable } from './key-table.ts'
import { StepError, failureOf } from './module.ts'
import type { Handle, Module } from './module.ts'
import { DIGEST_BYTES } from './protocol.ts'
import type { Done, Failure, FromChild, SignItem } from './protocol.ts'
import type { Session, SessionPool } from './session-pool.ts'

export type SignLoop = ReturnType<typeof createSignLoop>

export type SignLoopParts = {
  readonly module: Module
  readonly pool: SessionPool
  readonly keys: KeyTable
  /** Makes the session logged in again. */
  readonly relogin: (session: Session) => Promise<void>
  /** Calls back when the message is in the pipe. */
  readonly send: (message: FromChild, sent?: () => void) => void
  readonly fatal: (failure: Failure) => void
}

const CKM_ECDSA = 0x1041
// Room for what no signature of ours has: a wrong length is for the release gate to see.
const SIGNATURE_ROOM = 256
const CANCELLED: Failure = {
  step: 'queue',
  ckr: null,
  kind: 'busy',
  message: 'the deadline came first',
}

/**
 * Signs what is waiting on the sessions that are free. Once a turn of the event loop, one message
 * carries all results and says which keys are used next; only then are they used.
 */
export function createSignLoop(parts: SignLoopParts) {
  const { pool, send, fatal } = parts
  const waiting: SignItem[] = []
  // The worker threads read and write these buffers: they must live until the call is over.
  const buffersInUse = new Set<Uint8Array>()
  let done: Done[] = []
  let scheduled = false
  let ending: Failure | null = null

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(turn)
  }

  function turn(): void {
    scheduled = false
    const starts = ending === null ? pairUp() : []
    if (starts.length > 0 || done.length > 0) {
      const begun = starts.map(({ item }) => item.id)
      const message = { kind: 'progress', begun, done } as const
      done = []
      send(message, () => {
        for (const start of starts) void run(start)
      })
    }
    if (ending !== null) fatal(ending)
  }

  function pairUp(): { session: Session; item: SignItem }[] {
    const starts: { session: Session; item: SignItem }[] = []
    while (waiting.length > 0) {
      const session = pool.take()
      if (session === null) break
      starts.push({ session, item: waiting.shift()! })
    }
    return starts
  }

  async function run({ session, item }: { session: Session; item: SignItem }): Promise<void> {
    const result = await signOnce(session, item)
    pool.giveBack(session)
    if ('failure' in result && isNoRoom(result.failure) && pool.openCount() > 0) {
      waiting.unshift(item)
    } else done.push({ id: item.id, ...result })
    if ('failure' in result && endsChild(result.failure.kind)) ending ??= result.failure
    schedule()
  }

  /** One use of the key, and once more only where the first cannot have been one. */
  async function signOnce(session: Session, item: SignItem): Promise<Result> {
    const first = await tryToSign(session, item)
    if (!('failure' in first) || first.failure.kind !== 'reopen') return first
    const second = await tryToSign(session, item)
    if (!('failure' in second) || second.failure.kind !== 'reopen') return second
    return { failure: { ...second.failure, kind: 'reinit' }, used: 'no' }
  }

  async function tryToSign(session: Session, item: SignItem): Promise<Result> {
    let step = 'session'
    const digest = Buffer.from(item.digest)
    const room = Buffer.alloc(SIGNATURE_ROOM)
    try {
      const handle = await usableSession(parts, session)
      step = 'find key'
      const key = parts.keys.use(handle, item.ref)
      checkDigest(digest)
      step = 'C_SignInit'
      parts.module.C_SignInit(handle, { mechanism: CKM_ECDSA }, key)
      buffersInUse.add(digest).add(room)
      step = 'C_Sign'
      return { signature: await parts.module.C_SignAsync(handle, digest, room) }
    } catch (error) {
      const failure = failureOf(step, error)
      // A key fault leaves the session as it was; anything else makes it suspect.
      if (!(error instanceof KeyFaultError)) pool.discard(session)
      if (failure.kind === 'reopen') parts.keys.forget()
      return { failure, used: step === 'C_Sign' && failure.kind === 'reinit' ? 'unknown' : 'no' }
    } finally {
      buffersInUse.delete(digest)
      buffersInUse.delete(room)
    }
  }

  return {
    add: (items: readonly SignItem[]) => {
      waiting.push(...items)
      schedule()
    },
    cancel: (ids: readonly number[]) => {
      const dropped = waiting.filter(({ id }) => ids.includes(id))
      const kept = waiting.filter(({ id }) => !ids.includes(id))
      waiting.splice(0, waiting.length, ...kept)
      done.push(...dropped.map(({ id }) => ({ id, failure: CANCELLED, used: 'no' as const })))
      schedule()
    },
    /** Ends the child once what is known has been said. */
    end: (failure: Failure) => {
      ending ??= failure
      schedule()
    },
    isIdle: () => pool.isIdle() && done.length === 0,
  }
}

type Result =
  | { readonly signature: Uint8Array }
  | { readonly failure: Failure; readonly used: 'no' | 'unknown' }

/** A session that is alive and logged in, opened and logged in anew where it is not. */
export async function usableSession(
  { pool, relogin }: Pick<SignLoopParts, 'pool' | 'relogin'>,
  session: Session,
): Promise<Handle> {
  const before = pool.validate(session)
  if (before.loggedIn) return before.handle
  await relogin(session)
  const after = pool.validate(session)
  if (!after.loggedIn) throw new StepError('login', 'reinit', 'the token forgets its login at once')
  return after.handle
}

function checkDigest(digest: Uint8Array): void {
  if (digest.length !== DIGEST_BYTES) {
    throw new StepError('C_Sign', 'discard', `a digest of ${digest.length} bytes is refused`)
  }
}

const isNoRoom = ({ ckr }: Failure) => ckr === CKR_SESSION_COUNT
const endsChild = (kind: CkrClass) => kind === 'reinit' || kind === 'latch'
