import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { actMatter } from '../../../src/approval/act.ts'
import type { AskedAct } from '../../../src/approval/act.ts'
import { logForkAct, renderLogFork } from '../../../src/approval/log-fork.ts'
import type { LogForkRequest } from '../../../src/approval/log-fork.ts'
import { renderThaw, thawAct } from '../../../src/approval/thaw.ts'
import type { ThawRequest } from '../../../src/approval/thaw.ts'
import type { AuditEntry } from '../../../src/audit/entry.ts'
import { forkProblems } from '../../../src/audit/verify/forked.ts'
import { createFreezes } from '../../../src/audit/verify/freezes.ts'
import { createInForce } from '../../../src/audit/verify/in-force.ts'
import { policySetBytes } from '../../../src/policy/canonical.ts'
import { parsePolicySet } from '../../../src/policy/parse.ts'
import { rosterBytes } from '../../../src/policy/parse/roster.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import { readPolicySet } from '../../../src/policy-files.ts'
import { cliApproval } from '../../approval/cases.ts'
import { verify } from '../../plc/build-log.ts'
import { NOW } from '../../policy/cases.ts'
import { officerFiles } from '../../policy/officers.ts'

// What the log tells of freezes, and of a fork: who may lift them, and what is done in spite of them.

const prod = (text: string) => text.replace('env: dev', 'env: prod')
const policies = parsePolicySet({
  ...officerFiles,
  policy: prod(officerFiles.policy),
  roster: prod(officerFiles.roster),
})
const roster = policies.roster!
const [pds] = policies.keys
const SINCE = NOW.toISOString()
const HOUR = 3_600_000

const at = NOW.getTime() + HOUR
const frozenAll = { scope: 'all', since: SINCE, by: 'person:alice' }
const text = `all since ${SINCE} by person:alice`

const thawOf = (fields: Partial<ThawRequest> = {}): ThawRequest => ({
  format: 'holdfast/thaw/v1',
  env: 'prod',
  audience: 'https://host.example.com',
  made: new Date(NOW.getTime() + 60_000).toISOString(),
  proposer: 'erin',
  store: 'store',
  frozen: [text],
  ...fields,
})

async function approvals(act: AskedAct, by: readonly string[], set: PolicySet = policies) {
  const matter = actMatter(act, set)!
  const fields = { notBefore: Math.floor(at / 1000) - 60, roster }
  return await Promise.all(by.map(async (person) => await cliApproval(person, { matter, fields })))
}

/** Two of three, and the manager, as the set asks for it. */
const enough = ['alice', 'bob', 'carol', 'dora']

async function thawed(
  request = thawOf(),
  fields: { by?: readonly string[]; frozen?: readonly string[] } = {},
): Promise<AuditEntry & { kind: 'signing.thawed' }> {
  const { by = enough, frozen = request.frozen } = fields
  const agreed = { request: renderThaw(request), approvals: await approvals(thawAct(request), by) }
  return { kind: 'signing.thawed', frozen, agreed }
}

/** What has come into force, and is frozen. */
async function story(set: PolicySet = policies) {
  const said: string[] = []
  const say = (message: string) => said.push(message)
  const inForce = createInForce(verify)
  inForce.takePolicies(
    { kind: 'policy.changed', digest: set.digest, set: policySetBytes(set) },
    say,
  )
  const officers = { digest: roster.digest, roster: rosterBytes(roster) }
  if (set.roster !== null) await inForce.takeRoster({ kind: 'roster.changed', ...officers }, say)
  const freezes = createFreezes(inForce, verify)
  freezes.takeFrozen({ kind: 'signing.frozen', ...frozenAll }, say)
  // Nobody has accepted these officers: that is another test's business.
  said.length = 0
  return { freezes, said, say }
}

async function saidOf(entry: AuditEntry & { kind: 'signing.thawed' }, set?: PolicySet) {
  const { freezes, said, say } = await story(set)
  await freezes.takeThawed(entry, { at, store: 'store' }, say)
  return said
}

describe('a freeze is lifted', () => {
  test('by the officers whom the policies ask', async () => {
    expect(await saidOf(await thawed())).toEqual([])
  })

  test.each<[string, () => Promise<AuditEntry & { kind: 'signing.thawed' }>, RegExp]>([
    ['by too few', async () => await thawed(thawOf(), { by: ['alice'] }), /missing/],
    ['by nobody', async () => await thawed(thawOf(), { by: [] }), /missing/],
    [
      'by the word of an operator',
      async () => ({ kind: 'signing.thawed', frozen: [text], agreed: null }),
      /none was asked/,
    ],
    [
      'by those who agreed to lift another one',
      async () =>
        await thawed(thawOf({ frozen: [`caller pds since ${SINCE} by operator`] }), {
          frozen: [text],
        }),
      /agreed to something else/,
    ],
    [
      'by those of another service',
      async () => await thawed(thawOf({ store: 'another' })),
      /agreed to something else/,
    ],
    [
      'with words changed after they signed',
      async () => {
        const entry = await thawed()
        const request = renderThaw(thawOf({ audience: 'https://other.example.com' }))
        return { ...entry, agreed: { ...entry.agreed!, request } }
      },
      /it is about something else/,
    ],
    [
      'when it was proposed too long ago',
      async () => await thawed(thawOf({ made: new Date(at - 30 * 24 * HOUR).toISOString() })),
      /time is over/,
    ],
    [
      'by text that is no request',
      async () => ({
        kind: 'signing.thawed',
        frozen: [text],
        agreed: { request: '{}', approvals: [] },
      }),
      /not written as a request/,
    ],
  ])('not %s', async (_name, entry, reason) => {
    expect(await saidOf(await entry())).toEqual([expect.stringMatching(reason)])
  })

  test('by the operator’s word where the policies ask nobody', async () => {
    const solo = fileURLToPath(new URL('../../../policies/examples/solo', import.meta.url))
    const entry = { kind: 'signing.thawed' as const, frozen: [text], agreed: null }
    expect(await saidOf(entry, await readPolicySet(solo))).toEqual([])
  })
})

describe('while something is frozen', () => {
  const intent = { caller: 'alpha', keyDid: pds!.did }

  test.each([
    ['all', true],
    ['caller alpha', true],
    ['caller beta', false],
    ['key pds', true],
    ['key other', false],
  ])('no key is used: %s', async (scope, stops) => {
    const { freezes, said, say } = await story()
    await freezes.takeThawed(await thawed(), { at, store: 'store' }, say)
    const later = new Date(NOW.getTime() + 1).toISOString()
    freezes.takeFrozen({ kind: 'signing.frozen', ...frozenAll, scope, since: later }, say)
    freezes.checkIntent(intent, at, say)
    expect(said).toEqual(stops ? [`${scope} was frozen since ${later}`] : [])
  })

  test('what was under way when it began may still end, and what is lifted stops nothing', async () => {
    const { freezes, said, say } = await story()
    freezes.checkIntent(intent, NOW.getTime() + 30_000, say)
    expect(said).toEqual([])
    freezes.checkIntent(intent, NOW.getTime() + 30_001, say)
    expect(said).toHaveLength(1)
    await freezes.takeThawed(await thawed(), { at, store: 'store' }, say)
    freezes.checkIntent(intent, at, say)
    expect(said).toHaveLength(1)
  })

  test.each([
    ['bob', []],
    ['alice', ['alice has frozen all, and another officer must say it']],
    ['erin', ['"erin" is no officer in force']],
    ['mallory', ['"mallory" is no officer in force']],
  ])('what was signed is sent on by the word of another officer: %s', async (person, problems) => {
    const { freezes, said, say } = await story()
    freezes.checkAllowed({ kind: 'submission.allowed', request: 'r', person, frozen: ['all'] }, say)
    expect(said).toEqual(problems)
  })

  test('a freeze that was lifted before its entry came stops nothing', async () => {
    const { freezes, said, say } = await story()
    await freezes.takeThawed(await thawed(), { at, store: 'store' }, say)
    freezes.takeFrozen({ kind: 'signing.frozen', ...frozenAll }, say)
    freezes.checkIntent(intent, at, say)
    expect(said).toEqual([])
  })

  test('an entry that tells of no freeze is wrong', async () => {
    const { freezes, said, say } = await story()
    freezes.takeFrozen({ kind: 'signing.frozen', ...frozenAll, by: 'somebody' }, say)
    expect(said).toEqual(['it is no freeze'])
  })
})

describe('a log goes on without entries', () => {
  const root = new Uint8Array(32).fill(3)
  const requestOf = (fields: Partial<LogForkRequest> = {}): LogForkRequest => ({
    format: 'holdfast/log-fork/v1',
    env: 'prod',
    audience: 'https://host.example.com',
    made: new Date(NOW.getTime() + 60_000).toISOString(),
    proposer: 'erin',
    from: { origin: 'log.example/audit/1', size: 9, root: Buffer.from(root).toString('hex') },
    had: 7,
    origin: 'log.example/audit/2',
    checkpointKey: 'vkey',
    directory: { url: 'https://plc.directory', operations: 3, foreign: 0, nullified: 0 },
    ...fields,
  })

  async function problems(
    fields: {
      by?: readonly string[]
      request?: LogForkRequest
      set?: PolicySet
      size?: number
    } = {},
  ) {
    const { by = enough, request = requestOf(), set = policies, size = 9 } = fields
    const agreed = {
      request: renderLogFork(request),
      approvals: await approvals(logForkAct(request), by),
    }
    const entry = {
      kind: 'log.forked' as const,
      from: 'log.example/audit/1',
      size,
      root,
      had: 7,
      origin: 'log.example/audit/2',
      checkpointKey: 'vkey',
      agreed,
    }
    return await forkProblems(entry, { policies: set, roster, at, verify })
  }

  test('as officers approved it', async () => {
    expect(await problems()).toEqual({ problems: [], unjudged: null })
  })

  test('and not as too few did, or of another loss', async () => {
    expect((await problems({ by: ['alice'] })).problems).toEqual([
      expect.stringContaining('missing'),
    ])
    expect((await problems({ size: 8 })).problems).toEqual([
      'the officers agreed to something else',
    ])
    expect((await problems({ request: requestOf({ env: 'dev' }) })).problems).toHaveLength(1)
  })

  test('which nobody here can judge where the policies of then are lost with them', async () => {
    const other = { ...policies, digest: new Uint8Array(32) }
    expect(await problems({ set: other })).toEqual({
      problems: [],
      unjudged: 'it was approved under policies that are not in the log',
    })
  })
})
