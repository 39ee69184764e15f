import { expect, expectTypeOf, test } from 'vitest'
import { authorize } from '../../src/approval/authorize.ts'
import type { Agreement, Authorized } from '../../src/approval/authorize.ts'
import { digestWords } from '../../src/words/words.ts'
import { displayDigest } from '../../src/approval/matter.ts'
import type { Decision } from '../../src/policy/evaluate.ts'
import {
  SIGNED_AT,
  approvalsOf,
  bytes,
  clocksAt,
  key,
  matterOf,
  requireDecision,
  weighing,
} from './cases.ts'

const allow: Decision = { kind: 'allow', rules: ['GENESIS'], limits: [] }
const denied: Decision = { kind: 'deny', findings: [{ rule: 'PREV-KNOWN', message: 'no' }] }

const authorizing = (decision: Decision, agreement?: Agreement) => () =>
  authorize({ decision, requestId: 'r', bytes, key, ...(agreement && { agreement }) })

async function agreementOf(...persons: string[]): Promise<Agreement> {
  const { requirements: _of, ...agreement } = weighing({ approvals: await approvalsOf(...persons) })
  return agreement
}

test('an allowed request is authorised for its own bytes and key, and nothing else', () => {
  const authorized = authorizing(allow)()
  expect(authorized).toEqual({ requestId: 'r', bytes, key })
  expect(authorized.bytes).toBe(bytes)
  expect(Object.isFrozen(authorized)).toBe(true)
  expect(() => Object.assign(authorized, { requestId: 'other' })).toThrow(TypeError)
})

test('a denial never becomes a permission', async () => {
  expect(authorizing(denied)).toThrow(TypeError)
  expect(authorizing(denied, await agreementOf('alice', 'carol'))).toThrow(TypeError)
})

test('neither does a decision that no rule made', async () => {
  expect(authorizing({ ...allow, rules: [] })).toThrow(TypeError)
  const none = { ...requireDecision, rules: [] }
  expect(authorizing(none, await agreementOf('alice', 'carol'))).toThrow(TypeError)
})

test('what needs a quorum is authorised with it, and never without', async () => {
  const authorized = authorizing(requireDecision, await agreementOf('alice', 'carol'))()
  expect(authorized).toEqual({ requestId: 'r', bytes, key })
  expect(authorizing(requireDecision, await agreementOf('alice'))).toThrow('waiting')
  expect(authorizing(requireDecision, await agreementOf())).toThrow('waiting')
  expect(authorizing(requireDecision)).toThrow(TypeError)
})

test('an agreement about other bytes, or another key, authorises nothing', async () => {
  const agreement = await agreementOf('alice', 'carol')
  const other = { ...agreement, matter: matterOf({ request: new Uint8Array(32) }) }
  expect(authorizing(requireDecision, other)).toThrow(TypeError)
  expect(authorizing(requireDecision, { ...agreement, matter: matterOf({ key: null }) })).toThrow(
    TypeError,
  )
})

test('the delay and the end hold here too', async () => {
  const agreement = await agreementOf('alice', 'carol')
  const at = (unix: number) =>
    authorizing(requireDecision, { ...agreement, clocks: clocksAt(unix) })
  expect(at(SIGNED_AT)).toThrow('delayed')
  expect(at(SIGNED_AT + 5 * 3600)).toThrow('expired')
})

test('what officers read names everything that they sign for, and its words are those of its digest', () => {
  const { display } = matterOf()
  expect(display).toMatch(/^[ -~\n]+$/)
  for (const part of [
    'MOVE',
    'http://localhost:2590',
    'caller:alpha',
    key.did,
    'new.example.com',
  ]) {
    expect(display).toContain(part)
  }
  expect(digestWords(displayDigest(display), 8)).toHaveLength(8)
})

test('nothing of its shape is taken for an authorisation by the compiler', () => {
  expectTypeOf({ requestId: 'r', bytes, key }).not.toExtend<Authorized>()
  expectTypeOf<Authorized>().toExtend<{ requestId: string }>()
})
