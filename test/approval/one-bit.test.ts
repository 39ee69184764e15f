import { expect, test } from 'vitest'
import { matterOf as operationMatter } from '../../src/approval/operation-matter.ts'
import { weigh } from '../../src/approval/weigh.ts'
import { decodeUnsignedOperation } from '../../src/plc/encode.ts'
import { decodePolicySet, policySetBytes } from '../../src/policy/canonical.ts'
import { evaluate } from '../../src/policy/evaluate.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { decodeRoster, rosterBytes } from '../../src/policy/parse/roster.ts'
import { NOW, circumstances } from '../policy/cases.ts'
import {
  approvalsOf,
  bytes,
  cliApproval,
  key,
  policies,
  roster,
  subject,
  verified,
  weighing,
} from './cases.ts'
import { ORIGIN } from './cases.ts'

// Whatever bit is another one in what officers were asked about, in the policies or in the roster: it is
// no such thing at all, or it shows, and what they have signed counts for nothing.

const approvals = await approvalsOf('alice', 'carol')

/** What officers would be asked, and whether what they have signed before answers it; null: nothing. */
function asked(message: Uint8Array, set: PolicySet) {
  const { operation, bytes: signing } = decodeUnsignedOperation(message)
  const counts = Object.fromEntries(set.rules.map(({ id }) => [id, 0]))
  const { decision } = evaluate({
    subject: { ...subject, operation },
    policies: set,
    circumstances: circumstances({ ruleCounts: counts, didRuleCounts: counts }),
  })
  if (decision.kind !== 'require') return null
  const matter = operationMatter({
    subject: { ...subject, operation, key },
    bytes: signing,
    decision,
    policies: set,
    audience: ORIGIN,
    requester: { kind: 'caller', name: 'alpha' },
    proposedAt: NOW,
  })
  const { requirements } = decision
  const { callers } = set
  const { kind } = weigh(weighing({ matter, requirements, approvals, callers, roster }))
  return { display: matter.display, kind }
}

/** @param step 9 takes one bit of each byte, every time the next one */
function* flips(of: Uint8Array, step = 1): Generator<{ bit: number; changed: Uint8Array }> {
  for (let bit = 0; bit < of.length * 8; bit += step) {
    const changed = Uint8Array.from(of)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    yield { bit, changed }
  }
}

/** null: it is no such thing, and refused as that. */
function read<T>(work: () => T): T | null {
  try {
    return work()
  } catch (error) {
    if (error instanceof Error && /^(PlcError|PolicyError)$/.test(error.name)) return null
    throw error
  }
}

const before = asked(bytes, policies)

test('as they are, what officers have signed is enough', () => {
  expect(before?.kind).toBe('met')
})

test('any bit of the request: another text is shown, and the approvals are void', () => {
  const found = [...flips(bytes)].flatMap(({ bit, changed }) => {
    const after = read(() => asked(changed, policies))
    return after === null ? [] : [{ bit, ...after }]
  })
  expect(found.length).toBeGreaterThan(100)
  expect(found.filter(({ kind }) => kind === 'met')).toEqual([])
  expect(found.filter(({ display }) => display === before?.display)).toEqual([])
})

test('any bit of the policies: the approvals are void', () => {
  const canonical = policySetBytes(policies)
  const found = [...flips(canonical, 9)].flatMap(({ bit, changed }) => {
    const set = read(() => decodePolicySet(changed))
    const after = set === null ? null : asked(bytes, { ...set, roster })
    return after === null ? [] : [{ bit, ...after }]
  })
  expect(found.length).toBeGreaterThan(100)
  expect(found.filter(({ kind }) => kind === 'met')).toEqual([])
})

test('any bit of the roster: no approval is known under it', async () => {
  const raw = await cliApproval('alice')
  let counted = 0
  let readable = 0
  for (const { changed } of flips(rosterBytes(roster), 9)) {
    const other = read(() => decodeRoster(changed))
    if (other === null) continue
    readable += 1
    const approval = await verified(raw, [other]).catch(() => null)
    if (approval !== null) counted += 1
  }
  expect(readable).toBeGreaterThan(50)
  expect(counted).toBe(0)
})
