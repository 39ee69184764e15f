import { z } from 'zod'
import type { FromChild } from './protocol.ts'

// A vendor's module runs in the child. What comes from there is checked like any other input.
const bytes = (max: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= max)
const text = z.string().max(1024)
const count = z.int().nonnegative()

const failure = z.strictObject({
  step: text,
  ckr: count.nullable(),
  kind: z.enum(['reopen', 'reinit', 'latch', 'discard', 'busy', 'configuration']),
  message: text,
})
const pin = z.enum(['ok', 'final-try', 'locked'])
const fault = z.enum([
  'missing',
  'ambiguous',
  'mismatch',
  'no-point',
  'curve',
  'not-sign',
  'not-sensitive',
  'extractable',
  'always-authenticate',
])

const fromChild = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('found'),
    serial: text,
    label: text,
    needsLogin: z.boolean(),
    pin,
  }),
  z.strictObject({ kind: z.literal('login-needed'), pin }),
  z.strictObject({
    kind: z.literal('login-answer'),
    failure: failure.nullable(),
    tried: z.boolean(),
  }),
  z.strictObject({ kind: z.literal('ready'), sessions: count }),
  z.strictObject({
    kind: z.literal('keys'),
    states: z.array(
      z.strictObject({ ref: count, fault: fault.nullable(), point: bytes(65).nullable() }),
    ),
  }),
  z.strictObject({
    kind: z.literal('progress'),
    begun: z.array(count),
    done: z.array(
      z.union([
        z.strictObject({ id: count, signature: bytes(256) }),
        z.strictObject({ id: count, failure, used: z.enum(['no', 'unknown']) }),
      ]),
    ),
  }),
  z.strictObject({ kind: z.literal('checked'), sessions: count }),
  z.strictObject({ kind: z.literal('failed'), failure }),
]) satisfies z.ZodType<FromChild>

/** @throws ZodError for anything that the child does not say */
export function parseFromChild(message: unknown): FromChild {
  return fromChild.parse(message)
}
