import { SignerError } from '../signer.ts'
import type { Done, SignItem } from './protocol.ts'

/** One signature that somebody waits for. */
type Job = {
  readonly item: SignItem
  /** `begun`: the child has said that it uses the key now. */
  stage: 'queued' | 'sent' | 'begun'
  since: number
  endedChildren: number
  /** Null when nobody waits any more. */
  waiter: PromiseWithResolvers<Uint8Array> | null
  /** Its deadline is over; it is not begun any more. */
  isLate: boolean
  stopListening: () => void
}

export type Jobs = ReturnType<typeof createJobs>

// A job that ended so many children is not given another.
const MAX_ENDED_CHILDREN = 3
const CANCEL_GRACE_MS = 100
const NO_ANSWER = 'the token did not answer by the deadline'

/**
 * The queue before the child, and what the child has of it. Each job is answered once: with a
 * signature, with `unavailable` when the key was certainly not used, or with `timeout` when it may
 * have been.
 */
export function createJobs(options: {
  readonly maxQueued: number
  /** A job whose caller left before the child began it. */
  readonly onCancel: (id: number) => void
  readonly onQueued: () => void
}) {
  const queued: Job[] = []
  const out = new Map<number, Job>()
  let lastId = 0
  let signed = 0

  async function add(ref: number, digest: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    if (signal.aborted) throw notUsed('the deadline was over before the key could be asked')
    if (queued.length >= options.maxQueued) throw notUsed('too many signatures are waiting')
    const waiter = Promise.withResolvers<Uint8Array>()
    const job: Job = {
      item: { id: (lastId += 1), ref, digest },
      stage: 'queued',
      since: performance.now(),
      endedChildren: 0,
      isLate: false,
      waiter,
      stopListening: () => signal.removeEventListener('abort', abort),
    }
    const abort = () => expire(job)
    signal.addEventListener('abort', abort, { once: true })
    queued.push(job)
    options.onQueued()
    return await waiter.promise
  }

  function expire(job: Job): void {
    if (job.stage === 'queued') {
      queued.splice(queued.indexOf(job), 1)
      return reject(job, notUsed('the key was not free until the deadline'))
    }
    if (job.stage === 'begun') return reject(job, maybeUsed(NO_ANSWER))
    // A child that is not stuck says at once whether it had begun.
    options.onCancel(job.item.id)
    const grace = setTimeout(() => reject(job, maybeUsed(NO_ANSWER)), CANCEL_GRACE_MS)
    job.stopListening = () => clearTimeout(grace)
    job.isLate = true
  }

  /** Up to `room` jobs for the child. */
  function takeToSend(room: number): SignItem[] {
    const taken = queued.splice(0, Math.max(0, room))
    for (const job of taken) {
      Object.assign(job, { stage: 'sent', since: performance.now() })
      out.set(job.item.id, job)
    }
    return taken.map(({ item }) => item)
  }

  function begin(ids: readonly number[]): void {
    for (const id of ids) {
      const job = out.get(id)
      if (job !== undefined) Object.assign(job, { stage: 'begun', since: performance.now() })
    }
  }

  function finish(done: Done): void {
    const job = out.get(done.id)
    if (job === undefined) return
    out.delete(done.id)
    if ('signature' in done) {
      signed += 1
      return resolve(job, done.signature)
    }
    const { failure, used } = done
    if (used === 'unknown') return reject(job, maybeUsed(failure.message))
    if (failure.kind === 'configuration') {
      return reject(job, new SignerError('key-unusable', failure.message))
    }
    if (failure.kind !== 'reinit') return reject(job, notUsed(failure.message))
    job.endedChildren += 1
    if (job.endedChildren < MAX_ENDED_CHILDREN) again(job)
    else reject(job, notUsed(failure.message))
  }

  /** The child is gone, and everything it said has been heard. */
  function loseChild(reason: string): void {
    // Backwards: each goes to the front.
    for (const job of [...out.values()].toReversed()) {
      if (job.stage === 'begun') reject(job, maybeUsed(reason))
      else again(job)
    }
    out.clear()
  }

  /** For the next child: its key was certainly not used, and its caller's deadline is its bound. */
  function again(job: Job): void {
    if (job.waiter === null) return
    if (job.isLate) return reject(job, notUsed('the key was not free until the deadline'))
    Object.assign(job, { stage: 'queued', since: performance.now() })
    queued.unshift(job)
  }

  return {
    add,
    takeToSend,
    begin,
    finish,
    loseChild,
    rejectQueued: (reason: string) => {
      for (const job of queued.splice(0)) reject(job, notUsed(reason))
    },
    signedCount: () => signed,
    outCount: () => out.size,
    begunCount: () => jobsAt('begun').length,
    /** Since when the child owes an answer; null when it owes none. */
    owedSince: (lastHeard: number): number | null => {
      const begun = jobsAt('begun')
      if (begun.length > 0) return Math.min(...begun.map(({ since }) => since))
      const sent = jobsAt('sent')
      if (sent.length === 0) return null
      return Math.max(lastHeard, Math.min(...sent.map(({ since }) => since)))
    },
  }

  function jobsAt(stage: Job['stage']): Job[] {
    return [...out.values()].filter((job) => job.stage === stage)
  }
}

function resolve(job: Job, signature: Uint8Array): void {
  job.stopListening()
  job.waiter?.resolve(signature)
  job.waiter = null
}

function reject(job: Job, error: SignerError): void {
  job.stopListening()
  job.waiter?.reject(error)
  job.waiter = null
}

const notUsed = (reason: string) =>
  new SignerError('unavailable', `the key was not used: ${reason}`)
const maybeUsed = (reason: string) =>
  new SignerError('timeout', `whether the key was used is unknown: ${reason}`)
