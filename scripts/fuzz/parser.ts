import { setImmediate as breathe } from 'node:timers/promises'
import {
  decodeSignedOperation,
  decodeUnsignedOperation,
  encodeSignedOperation,
} from '../../src/plc/encode.ts'
import { PlcError } from '../../src/plc/error.ts'
import { checkLimits } from '../../src/plc/limits.ts'
import { renderOperation } from '../../src/plc/render.ts'
import { generateMessages } from '../../test/support/generate-messages.ts'
import { createMemoryWatch } from './memory.ts'
import type { MemoryGrowth } from './memory.ts'

export type ParserReport = MemoryGrowth & {
  readonly messages: number
  readonly seconds: number
  /** How often each outcome came, such as `unsigned accepted` or `signed malformed`. */
  readonly outcomes: Readonly<Record<string, number>>
  /** What is wrong, with the message in hex; the run stops at the first. */
  readonly failure: string | null
}

/** Rendering is most of the work of an accepted message, and one in so many is enough. */
const RENDERED_ONE_IN = 8

/**
 * Generated messages against both decoders: each is accepted as the one encoding of what it says, or
 * refused with an error of ours, and is never changed.
 */
export async function fuzzParser(options: { seed: number; count: number }): Promise<ParserReport> {
  const messages = generateMessages(options.seed)
  const outcomes = new Map<string, number>()
  const memory = createMemoryWatch(options.count)
  const start = performance.now()
  let failure: string | null = null
  let done = 0
  for (; done < options.count && failure === null; done += 1) {
    const message = messages.next().value as Uint8Array
    failure = judge(message, { render: done % RENDERED_ONE_IN === 0, outcomes })
    memory.look(done, () => process.memoryUsage.rss())
    if (done % 10_000 === 0) await breathe()
  }
  return {
    messages: done,
    seconds: (performance.now() - start) / 1_000,
    outcomes: Object.fromEntries([...outcomes].sort(([a], [b]) => (a < b ? -1 : 1))),
    failure,
    ...memory.growth(),
  }
}

function judge(
  message: Uint8Array,
  { render, outcomes }: { render: boolean; outcomes: Map<string, number> },
): string | null {
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  const before = Buffer.from(message)
  try {
    count(`unsigned ${tryUnsigned(message, render)}`)
    count(`signed ${trySigned(message)}`)
    if (Buffer.compare(before, message) !== 0) throw new Error('the message was changed')
    return null
  } catch (error) {
    return `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${before.toString('hex')}`
  }
}

function tryUnsigned(message: Uint8Array, render: boolean): string {
  const decoded = refusalOf(() => decodeUnsignedOperation(message))
  if (decoded instanceof PlcError) return decoded.code
  const { operation, bytes } = decoded
  if (Buffer.compare(bytes, message) !== 0) throw new Error('other bytes came out')
  if (render) {
    const text = renderOperation({ operation, previous: null })
    if (!/^[ -~\n]+$/.test(text)) throw new Error(`unsafe text: ${JSON.stringify(text)}`)
  }
  return checkLimits(operation, null) === null ? 'accepted' : 'limited'
}

function trySigned(message: Uint8Array): string {
  const decoded = refusalOf(() => decodeSignedOperation(message))
  if (decoded instanceof PlcError) return decoded.code
  if (Buffer.compare(encodeSignedOperation(decoded), message) !== 0) {
    throw new Error('other signed bytes came out')
  }
  return 'accepted'
}

/** Anything but a PlcError is a bug. */
function refusalOf<T>(decode: () => T): T | PlcError {
  try {
    return decode()
  } catch (error) {
    if (error instanceof PlcError) return error
    throw error
  }
}
