import { expect, test } from 'vitest'
import { verifyWithAtproto } from '../../src/ecdsa/atproto.ts'
import { cidOf, decodeSignedOperation } from '../../src/plc/encode.ts'
import { PlcError } from '../../src/plc/error.ts'
import { verifyLog } from '../../src/plc/log.ts'
import { generateMessages } from '../support/generate-messages.ts'

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32))

test('the same seed gives the same messages', () => {
  const hex = (seed: number) => Buffer.concat([...take(500, seed)]).toString('hex')
  expect(hex(7)).toBe(hex(7))
  expect(hex(7)).not.toBe(hex(8))
})

test(`a log of generated operations is refused, never more than that (FUZZ_SEED=${seed})`, async () => {
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

/** Anything but a PlcError is a bug, and fails the test. */
function attempt<T>(run: () => T): T | PlcError {
  try {
    return run()
  } catch (error) {
    if (error instanceof PlcError) return error
    throw error
  }
}
