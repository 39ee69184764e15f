import { judgeActs } from '../../src/policy/acts.ts'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config.ts'
import { withItem } from '../../src/development.ts'
import type { OperationData } from '../../src/plc/operation.ts'
import { evaluate, limitedRules } from '../../src/policy/evaluate.ts'
import type { Decision } from '../../src/policy/evaluate.ts'
import type { Circumstances, Subject } from '../../src/policy/facts.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { loadPolicySet, readPolicyFiles } from '../../src/policy-files.ts'
import { account, circumstances, dids, elsewhere, OTHER_CID, subjectOf } from './cases.ts'
import { genesis as genesisOf, tombstone as tombstoneOf, update as updateOf } from './cases.ts'

const folder = fileURLToPath(new URL('../../policies', import.meta.url))
const { online, recovery, users, users2, atproto, atproto2 } = dids

const files = await readPolicyFiles(folder)
const pds = {
  id: 'pds',
  class: 'online',
  curve: 'K-256',
  did: online,
  uri: 'file:pds',
  development: true,
}
const cold = { id: 'recovery', class: 'recovery', curve: 'K-256', did: recovery }

/** What the first start makes of the shipped files, and what it is once a recovery key is added. */
const first = parsePolicySet({
  ...files,
  keys: withItem(files.keys, pds),
  callers: withItem(files.callers, { name: 'pds', keys: ['pds'] }),
})
const complete = parsePolicySet({
  ...files,
  keys: withItem(withItem(files.keys, pds), cold),
  callers: withItem(files.callers, { name: 'pds', keys: ['pds'] }),
})

const asked = (subject: Subject): Subject => ({
  ...subject,
  caller: 'pds',
  previous: subject.previous && { ...subject.previous, owner: 'pds' },
})
const genesis = (rotationKeys: string[]) => asked(genesisOf({ rotationKeys }))
const update = (changes: Partial<OperationData>, before?: Partial<OperationData>) =>
  asked(updateOf(changes, before))
const tombstone = (age: number) => asked(tombstoneOf(age))

type Given = Partial<Circumstances> & { policies?: PolicySet }

function decide(subject: Subject, { policies = complete, ...given }: Given = {}): Decision {
  const counted = limitedRules(subject, policies).map(({ id }) => [id, 0])
  const ruleCounts = { ...Object.fromEntries(counted), ...given.ruleCounts }
  const all = circumstances({ ...given, ruleCounts })
  return evaluate({ subject, circumstances: all, policies }).decision
}

function verdict(subject: Subject, given?: Given): string {
  const decision = decide(subject, given)
  return decision.kind === 'deny'
    ? `deny ${decision.findings[0].rule}`
    : `${decision.kind} ${decision.rules.join(' ')}`
}

describe('the shipped files', () => {
  test('load as they are: no keys, no callers, and so nothing that can be signed', async () => {
    const shipped = await loadPolicySet(folder)
    expect({ keys: shipped.keys, callers: shipped.callers, env: shipped.env }).toEqual({
      keys: [],
      callers: [],
      env: 'dev',
    })
    const given = { policies: shipped }
    expect(verdict(genesis([recovery, online]), given)).toBe('deny PLC-ROTATION-KEEP-OURS')
  })

  test('keep their comments when a key and a caller are added', () => {
    const added = withItem(files.keys, pds)
    const comments = files.keys.split('\n').filter((line) => line.startsWith('#'))
    expect(comments.length).toBeGreaterThan(5)
    for (const line of comments) expect(added).toContain(line)
  })

  test('have another digest once a key is added', () => {
    expect(first.digest).not.toEqual(complete.digest)
  })
})

const rows: readonly { what: string; subject: Subject; verdict: string; given?: Given }[] = [
  { what: 'an account', subject: genesis([recovery, online]), verdict: 'allow GENESIS' },
  {
    what: 'an account while no recovery key is configured',
    subject: genesis([online]),
    verdict: 'allow GENESIS',
    given: { policies: first },
  },
  {
    what: 'an account without the recovery key',
    subject: genesis([online]),
    verdict: 'deny PLC-GENESIS-RECOVERY',
  },
  { what: 'the same operation again', subject: update({}), verdict: 'allow UNCHANGED' },
  {
    what: 'another handle',
    subject: update({ alsoKnownAs: ['at://bob.example.com'] }),
    verdict: 'allow ACCOUNT',
  },
  {
    what: "a user's own key, on top",
    subject: update({ rotationKeys: [users, recovery, online] }),
    verdict: 'allow ACCOUNT',
  },
  {
    what: "a user's own key gone",
    subject: update(
      { rotationKeys: [recovery, online] },
      { rotationKeys: [users, recovery, online] },
    ),
    verdict: 'allow ACCOUNT',
  },
  {
    what: "a user's own keys in another order",
    subject: update(
      { rotationKeys: [users2, users, recovery, online] },
      { rotationKeys: [users, users2, recovery, online] },
    ),
    verdict: 'allow ACCOUNT',
  },
  {
    what: 'the recovery key, added to an account that had none',
    subject: update({ rotationKeys: [recovery, online] }, { rotationKeys: [online] }),
    verdict: 'allow ACCOUNT',
  },
  {
    what: 'a label key and a labeler',
    subject: update({
      verificationMethods: { atproto, atproto_label: users },
      services: {
        ...account.services,
        atproto_labeler: { type: 'AtprotoLabeler', endpoint: 'https://l.example' },
      },
    }),
    verdict: 'allow ACCOUNT',
  },
  {
    what: 'another signing key',
    subject: update({ verificationMethods: { atproto: atproto2 } }),
    verdict: 'allow SIGNING-KEY',
  },
  {
    what: 'another signing key and another handle at once',
    subject: update({
      verificationMethods: { atproto: atproto2 },
      alsoKnownAs: ['at://bob.example.com'],
    }),
    verdict: 'deny POLICY-UNMATCHED',
  },
  {
    what: 'another endpoint alone',
    subject: update({ services: elsewhere.services! }),
    verdict: 'deny POLICY-UNMATCHED',
  },
  {
    what: 'another endpoint and signing key, our keys staying',
    subject: update({ ...elsewhere, rotationKeys: [users, recovery, online] }),
    verdict: 'deny POLICY-UNMATCHED',
  },
  { what: 'a move to another PDS', subject: update(elsewhere), verdict: 'allow DEPARTURE' },
  {
    what: 'the 20th move of a day',
    subject: update(elsewhere),
    verdict: 'allow DEPARTURE',
    given: { ruleCounts: { DEPARTURE: 19 } },
  },
  {
    what: 'the 21st move of a day',
    subject: update(elsewhere),
    verdict: 'deny DEPARTURE',
    given: { ruleCounts: { DEPARTURE: 20 } },
  },
  {
    what: 'our key dropped',
    subject: update({ rotationKeys: [recovery, users] }),
    verdict: 'deny PLC-ROTATION-KEEP-OURS',
  },
  {
    what: 'all keys dropped',
    subject: update({ rotationKeys: [] }),
    verdict: 'deny PLC-ROTATION-KEYS-EMPTY',
  },
  {
    what: 'the recovery key dropped',
    subject: update({ rotationKeys: [users, online] }),
    verdict: 'deny PLC-ROTATION-KEEP-RECOVERY',
  },
  {
    what: 'the recovery key below ours',
    subject: update({ rotationKeys: [online, recovery] }),
    verdict: 'deny PLC-ROTATION-RECOVERY-ABOVE',
  },
  { what: 'a failed sign-up', subject: tombstone(300), verdict: 'allow UNDO-SIGN-UP' },
  { what: 'an older account', subject: tombstone(301), verdict: 'deny PLC-TOMBSTONE-FRESH' },
  {
    what: 'a stale prev',
    subject: update({ alsoKnownAs: [] }),
    verdict: 'deny PREV-IS-HEAD',
    given: { observedHead: OTHER_CID },
  },
  {
    what: 'the ninth operation of an hour',
    subject: update({}),
    verdict: 'deny DID-BUDGET',
    given: { operationCounts: { hour: 8, day: 8, week: 8 } },
  },
  {
    what: "another caller's account",
    subject: { ...update({}), caller: 'other' },
    verdict: 'deny DID-OF-CALLER',
  },
  {
    what: 'an account that is not in care',
    subject: { ...update({}), previous: null },
    verdict: 'deny PREV-KNOWN',
  },
  {
    what: 'anything by the recovery key, were it here',
    subject: subjectOf(update({}).operation, update({}).previous, {
      caller: 'pds',
      key: complete.keys.find((key) => key.class === 'recovery')!,
    }),
    verdict: 'deny POLICY-KEY-GRANTED',
  },
]

describe('the shipped policy does what its comments say', () => {
  test.each(rows)('$what: $verdict', ({ subject, verdict: expected, given }) => {
    expect(verdict(subject, given)).toBe(expected)
  })

  test('each of its rules allows something above', () => {
    const allowed = rows.flatMap((row) => row.verdict.match(/^allow (.+)$/)?.[1] ?? [])
    // Acts are no request of a caller: below.
    const acts = ['ceremony', 'policy'] as const
    const asked = complete.rules.filter(({ match }) => !acts.some((act) => match.op.includes(act)))
    expect(new Set(allowed)).toEqual(new Set(asked.map((rule) => rule.id)))
  })

  test('a ceremony may give accounts a new server key, and a log may be forked; nobody is asked', () => {
    const changes = ['rotationKeys.add', 'rotationKeys.remove.online'] as const
    const acts = [
      { class: 'ceremony', key: 'recovery' },
      { class: 'update', key: 'recovery', changes },
    ] as const
    expect(judgeActs(complete, acts)).toMatchObject({ kind: 'allow', rules: ['CEREMONY'] })
    expect(judgeActs(complete, [{ class: 'log-fork', key: 'none' }])).toMatchObject({
      kind: 'allow',
      rules: ['CHANGE'],
    })
  })

  test('20 departures a day for all identities together, an alarm from the tenth on', () => {
    const limit = complete.rules.find((rule) => rule.id === 'DEPARTURE')?.limits.global
    expect(limit).toEqual({ count: 20, seconds: 86_400 })
    const alarms = Array.from({ length: 20 }, (_, before) => {
      const decision = decide(update(elsewhere), { ruleCounts: { DEPARTURE: before } })
      return decision.kind === 'allow' && decision.limits[0]?.alarm
    })
    expect(alarms).toEqual([...Array<boolean>(9).fill(false), ...Array<boolean>(11).fill(true)])
  })
})

describe('a folder of policies', () => {
  let dir = ''
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'holdfast-policies-'))
    await cp(folder, dir, { recursive: true })
  })
  afterAll(() => rm(dir, { recursive: true }))

  test('a file that would not be read stops the start', async () => {
    await writeFile(join(dir, 'roster.yml'), '')
    await expect(loadPolicySet(dir)).rejects.toThrow(/roster\.yml is none of keys\.yaml/)
    await rm(join(dir, 'roster.yml'))
  })

  test('what is wrong is named with its path', async () => {
    await writeFile(join(dir, 'callers.yaml'), 'callers: holdfast/callers/v1\nlist: [{}]\n')
    const failed = loadPolicySet(dir)
    await expect(failed).rejects.toBeInstanceOf(ConfigError)
    await expect(failed).rejects.toThrow(`${dir}/callers.yaml: list.0.name:`)
  })

  test('a missing file is named', async () => {
    await rm(join(dir, 'callers.yaml'))
    await expect(loadPolicySet(dir)).rejects.toThrow(`cannot read ${join(dir, 'callers.yaml')}`)
  })
})
