import { expect, test } from 'vitest'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import {
  cidOf,
  decodeSignedOperation,
  decodeUnsignedOperation,
  encodeSignedOperation,
} from '../../src/plc/encode.ts'
import { PlcError } from '../../src/plc/error.ts'
import { checkLimits } from '../../src/plc/limits.ts'
import { verifyLog } from '../../src/plc/log.ts'
import { renderOperation } from '../../src/plc/render.ts'
import { generateMessages } from '../support/generate-messages.ts'

const MESSAGES = 100_000
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32))

test(`the decoders accept or refuse ${MESSAGES} generated messages, seed ${seed}`, () => {
  console.log(`fuzz seed ${seed}`)
  const outcomes = new Map<string, number>()
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  for (const message of take(MESSAGES, seed)) {
    const before = Buffer.from(message)
    count(`unsigned ${decodeUnsigned(message)}`)
    count(`signed ${decodeSigned(message)}`)
    if (Buffer.compare(before, message) !== 0) throw new Error('the message was changed')
  }
  // The generator reaches what it is for: a good part passes, and nothing fails for one reason alone.
  for (const way of ['unsigned', 'signed']) {
    expect(outcomes.get(`${way} accepted`)).toBeGreaterThan(MESSAGES / 20)
    expect(outcomes.get(`${way} malformed`)).toBeGreaterThan(MESSAGES / 20)
    expect(outcomes.get(`${way} not-canonical`)).toBeGreaterThan(MESSAGES / 1000)
  }
  expect(outcomes.get('unsigned too-large')).toBeGreaterThan(0)
  expect(outcomes.get('unsigned limited')).toBeGreaterThan(0)
})

test('the same seed gives the same messages', () => {
  const hex = (seed: number) => Buffer.concat([...take(500, seed)]).toString('hex')
  expect(hex(7)).toBe(hex(7))
  expect(hex(7)).not.toBe(hex(8))
})

test('a log of generated operations is refused, never more than that', async () => {
  const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
  let operations = 0
  for (const message of take(5000, seed)) {
    const operation = attempt(() => decodeSignedOperation(message))
    if (operation instanceof PlcError) continue
    operations++
    const row = { did, operation, nullified: false, createdAt: '2026-01-01T00:00:00.000Z' }
    await expect(
      verifyLog(did, [{ ...row, cid: cidOf(operation) }], verifyWithAtproto),
    ).rejects.toMatchObject({ code: 'invalid-log', entry: 0 })
  }
  expect(operations).toBeGreaterThan(100)
})

function* take(count: number, seed: number): Generator<Uint8Array> {
  const messages = generateMessages(seed)
  for (let index = 0; index < count; index++) yield messages.next().value as Uint8Array
}

function decodeUnsigned(message: Uint8Array): string {
  const decoded = attempt(() => decodeUnsignedOperation(message))
  if (decoded instanceof PlcError) return decoded.code
  if (Buffer.compare(decoded.bytes, message) !== 0) throw new Error('other bytes came out')
  const text = renderOperation({ operation: decoded.operation, previous: null })
  if (!/^[ -~\n]+$/.test(text)) throw new Error(`unsafe text: ${JSON.stringify(text)}`)
  return checkLimits(decoded.operation, null) === null ? 'accepted' : 'limited'
}

function decodeSigned(message: Uint8Array): string {
  const decoded = attempt(() => decodeSignedOperation(message))
  if (decoded instanceof PlcError) return decoded.code
  if (Buffer.compare(encodeSignedOperation(decoded), message) !== 0) throw new Error('other bytes')
  return 'accepted'
}

/** Anything but a PlcError is a bug, and fails the test. */
function attempt<T>(run: () => T): T | PlcError {
  try {
    return run()
  } catch (error) {
    if (error instanceof PlcError) return error
    throw error
  }
}
