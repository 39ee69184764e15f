import type { CustodyDeps, Decode } from './custody/ask.ts'
import type { CustodyEvent } from './custody/events.ts'
import { StoreBusyError } from './custody/ports.ts'
import type { RequestStore } from './custody/ports.ts'
import type { SubmitOperation } from './directory/submit.ts'
import type { PlcDirectory } from './directory/directory.ts'
import type { Metrics } from './metrics.ts'
import { PlcError } from './plc/error.ts'
import type { EcdsaVerify } from './plc/signature.ts'
import { SignerError } from './signer/signer.ts'
import type { Signer } from './signer/signer.ts'

/** What any use case may answer, as far as it is counted. */
type Result = { readonly kind: string; readonly rule?: string }

/** A use case, timed and counted by its outcome. What it throws is our own failure. */
export function measuredAction<Input, Answer extends Result>(
  metrics: Metrics,
  action: string,
  work: (input: Input) => Promise<Answer>,
): (input: Input) => Promise<Answer> {
  return async (input) => {
    const end = metrics.action.startTimer({ action })
    try {
      const answer = await work(input)
      end({ outcome: answer.kind })
      if (answer.kind === 'busy') metrics.busy.inc({ action })
      if (answer.kind === 'denied') {
        metrics.denied.inc({ action, rule: metrics.rule(answer.rule ?? '') })
      }
      return answer
    } catch (error) {
      const outcome = error instanceof StoreBusyError ? 'busy' : 'failed'
      end({ outcome })
      metrics[outcome].inc({ action })
      throw error
    }
  }
}

/** The parts of custody, each timed as a step. */
export function measuredParts<Parts extends Pick<CustodyDeps, 'store' | 'verify' | 'report'>>(
  metrics: Metrics,
  parts: Parts,
): Parts {
  return {
    ...parts,
    store: measuredStore(metrics, parts.store),
    verify: measuredVerify(metrics, parts.verify),
    report: (event: CustodyEvent) => {
      metrics.events.inc({ event: event.kind })
      parts.report(event)
    },
  }
}

function measuredStore(metrics: Metrics, store: RequestStore): RequestStore {
  return {
    ...store,
    findOperation: async (cid) =>
      await step(metrics, 'find_previous', () => store.findOperation(cid)),
    claim: async (input, judge) =>
      await step(
        metrics,
        'claim',
        () => store.claim(input, judge),
        ({ kind }) => kind,
      ),
    record: async (signature, signed) =>
      await step(metrics, 'record', () => store.record(signature, signed)),
  }
}

/** Every usable answer says that the directory was there at that time. */
export function measuredDirectory(metrics: Metrics, directory: PlcDirectory): PlcDirectory {
  const answered = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const answer = await step(metrics, name, work)
    metrics.directorySuccess.setToCurrentTime()
    return answer
  }
  return {
    getLog: async (did, signal) =>
      await answered('directory_read', () => directory.getLog(did, signal)),
    ping: async (signal) => await answered('directory_ping', () => directory.ping(signal)),
  }
}

function measuredVerify(metrics: Metrics, verify: EcdsaVerify): EcdsaVerify {
  return async (key, bytes, compact) =>
    await step(
      metrics,
      'verify',
      () => verify(key, bytes, compact),
      (holds) => (holds ? 'ok' : 'invalid'),
    )
}

/** What the directory says to a submission, whatever its log says afterwards. */
export function measuredSubmit(metrics: Metrics, submit: SubmitOperation): SubmitOperation {
  return async (recorded, signal) => {
    const outcome = await step(
      metrics,
      'directory_submit',
      () => submit(recorded, signal),
      ({ kind }) => kind,
    )
    if (outcome.kind === 'unknown') metrics.unknown.inc({ of: 'submission' })
    else metrics.directorySuccess.setToCurrentTime()
    if (outcome.kind === 'refused') metrics.refused.inc({ status: String(outcome.status) })
    return outcome
  }
}

/** One home of a key. @param backend the scheme of its URI */
export function measuredSigner(metrics: Metrics, backend: string, signer: Signer): Signer {
  return {
    check: async (signal) => await signer.check(signal),
    close: async () => await signer.close(),
    async sign(intent, signal) {
      const end = metrics.key.startTimer({ backend })
      try {
        const use = await signer.sign(intent, signal)
        end({ outcome: 'ok' })
        return use
      } catch (error) {
        const outcome = error instanceof SignerError ? error.code : 'failed'
        end({ outcome })
        if (outcome === 'timeout') metrics.unknown.inc({ of: 'key' })
        throw error
      }
    },
  }
}

/** The first step, which is over before anything is asked of anybody. */
export function measuredDecode(metrics: Metrics, decode: Decode): Decode {
  return (message) => {
    const end = metrics.step.startTimer({ step: 'decode' })
    try {
      const decoded = decode(message)
      end({ outcome: 'ok' })
      return decoded
    } catch (error) {
      end({ outcome: error instanceof PlcError ? 'malformed' : 'error' })
      throw error
    }
  }
}

async function step<T>(
  metrics: Metrics,
  name: string,
  work: () => Promise<T>,
  outcomeOf: (answer: T) => string = () => 'ok',
): Promise<T> {
  const end = metrics.step.startTimer({ step: name })
  try {
    const answer = await work()
    end({ outcome: outcomeOf(answer) })
    return answer
  } catch (error) {
    end({ outcome: error instanceof StoreBusyError ? 'busy' : 'error' })
    throw error
  }
}
