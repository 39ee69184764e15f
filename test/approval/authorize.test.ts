import { expect, expectTypeOf, test } from 'vitest'
import { authorize } from '../../src/approval/authorize.ts'
import type { Authorized } from '../../src/approval/authorize.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { Decision } from '../../src/policy/evaluate.ts'
import { plcOperation } from '../plc/build-log.ts'
import { account, keyConfig } from '../policy/cases.ts'

const bytes = signingBytes(plcOperation(account))
const key = keyConfig()
const allow: Decision = { kind: 'allow', rules: ['GENESIS'], limits: [] }
const denied: Decision = { kind: 'deny', findings: [{ rule: 'PREV-KNOWN', message: 'no' }] }

const authorizing = (decision: Decision) => () =>
  authorize({ decision, requestId: 'r', bytes, key })

test('an allowed request is authorised for its own bytes and key, and nothing else', () => {
  const authorized = authorizing(allow)()
  expect(authorized).toEqual({ requestId: 'r', bytes, key })
  expect(authorized.bytes).toBe(bytes)
})

test('a denial never becomes a permission', () => {
  expect(authorizing(denied)).toThrow(TypeError)
})

test('neither does a decision that no rule allowed', () => {
  expect(authorizing({ ...allow, rules: [] })).toThrow(TypeError)
})

test('a permission cannot be turned into another one', () => {
  const authorized = authorizing(allow)()
  expect(Object.isFrozen(authorized)).toBe(true)
  expect(() => Object.assign(authorized, { requestId: 'other' })).toThrow(TypeError)
})

test('nothing of its shape is taken for one by the compiler', () => {
  expectTypeOf({ requestId: 'r', bytes, key }).not.toExtend<Authorized>()
  expectTypeOf<Authorized>().toExtend<{ requestId: string }>()
})
