import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyNamed } from '../plc/build-log.ts'
import { acceptAs, beginWithOfficers, openOfficersHome } from '../support/officers-home.ts'
import type { Checked, OfficersHome } from '../support/officers-home.ts'
import { outsidePool } from '../support/postgres.ts'
import { withService } from '../support/with-service.ts'

// Other policies and other officers, where officers decide: `env: prod`, by the commands that people type.

const MORE = '  - { id: MORE, match: { op: [update], key: [online], diff: any }, require: none }\n'

let home: OfficersHome
let first: Checked & { readonly vkey: string }
beforeAll(async () => {
  home = await openOfficersHome()
  // Somebody started the service before "trust init": nothing is in force by that.
  await withService(home, async () => {})
  first = await beginWithOfficers(home)
})
afterAll(async () => await home.remove())

type Shown = {
  readonly sequence: number
  readonly inForce: { readonly policySet: string; readonly roster: { readonly epoch: number } }
}
type Proposed = { readonly words: string; readonly says: string[] }

const show = async () => await home.json<Shown>(['trust', 'show'])
const propose = async (file: string, proposer: string) =>
  await home.json<Proposed>(['policy', 'propose', home.path(file), '--proposer', proposer])
const speak = async (
  verb: 'approve' | 'reject',
  file: string,
  { person, words }: { person: string; words: string },
) => await home.run(['policy', verb, home.path(file), ...home.asOfficer(person)], `${words}\n`)
const adopt = async (file: string, ...accepted: string[]) =>
  await home.run([
    'policy',
    'adopt',
    home.path(file),
    ...accepted.flatMap((path) => ['--accepted', path]),
  ])

/** Proposed by Alice, approved by these, and adopted. */
async function change(file: string, by: readonly string[], ...accepted: string[]): Promise<void> {
  const { words } = await propose(file, 'alice')
  for (const person of by)
    expect((await speak('approve', file, { person, words })).err).toMatch(/^change/)
  expect(await adopt(file, ...accepted)).toMatchObject({ code: 0, err: '' })
}

describe('other policies', () => {
  let words: string

  test('come into force by no operator where there are officers', async () => {
    await home.writePolicy(MORE)
    const { words: typed } = await home.json<Checked>(['policy', 'check'])
    const { code, err } = await home.run(['policy', 'adopt'], `${typed}\n`)
    expect(code).toBe(1)
    expect(err).toContain('has officers, who decide this: policy propose FILE')
    expect(await show()).toMatchObject({ sequence: 1, inForce: { policySet: first.policySet } })
  })

  test('are proposed by an officer, in the words of what they newly allow, and everybody is told', async () => {
    const nobody = await home.run(['policy', 'propose', home.path('more'), '--proposer', 'mallory'])
    expect(nobody).toMatchObject({ code: 1, err: expect.stringContaining('--proposer') })
    const proposed = await propose('more', 'alice')
    words = proposed.words
    expect(proposed.says[0]).toMatch(/^looser: update by online keys.*denied → allowed/)
    const outside = outsidePool(home.database)
    const { rows } = await outside.query(
      `select detail->>'message' as message from notices where event = 'change-proposed'`,
    )
    await outside.end()
    expect(rows).toEqual([{ message: expect.stringContaining(words) }])
    expect(
      await home.run(['policy', 'propose', home.path('more'), '--proposer', 'alice']),
    ).toMatchObject({
      code: 1,
      err: expect.stringContaining('is there already'),
    })
  })

  test('are approved by who has read the words; not by who asks, and by nobody else’s key', async () => {
    const wrong = await speak('approve', 'more', { person: 'bob', words: first.words })
    expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('is another one') })
    expect((await speak('approve', 'more', { person: 'alice', words })).err).toContain(
      'asked for this',
    )
    expect((await speak('approve', 'more', { person: 'zoe', words })).err).toContain(
      'no active officer',
    )
    const approved = await speak('approve', 'more', { person: 'bob', words })
    expect(approved.code).toBe(0)
    expect(approved.err).toContain('looser: update by online keys')
  })

  test('are not in force by one of two', async () => {
    expect(await adopt('more')).toMatchObject({
      code: 1,
      err: expect.stringContaining('missing: 1 more of two: carol, dan'),
    })
    expect((await show()).sequence).toBe(1)
  })

  test('are what the file says, to the last character, and what the folder has', async () => {
    const file = home.path('more')
    const text = await readFile(file, 'utf8')
    const { request } = JSON.parse(text) as { request: { made: string } }
    await writeFile(
      file,
      text.replace(
        request.made,
        request.made.replace(/\dZ$/, (end) => (end === '0Z' ? '1Z' : '0Z')),
      ),
    )
    // Well-formed, and another request: Bob's approval is about something else.
    expect((await adopt('more')).err).toContain('it is about something else')
    await writeFile(file, text.replace('"sequence": 2', '"sequence":  2'))
    expect((await adopt('more')).err).toContain('not written as a proposed change is')
    await writeFile(file, text)
    await home.writePolicy(MORE.replace('update', 'update, departure'))
    expect((await adopt('more')).err).toContain('not what was proposed')
    await home.writePolicy(MORE)
  })

  test('are in force with the second, once', async () => {
    expect((await speak('approve', 'more', { person: 'carol', words })).code).toBe(0)
    expect(await adopt('more')).toMatchObject({ code: 0 })
    const { policySet } = await home.json<Checked>(['policy', 'check'])
    expect(await show()).toMatchObject({ sequence: 2, inForce: { policySet } })
    // The way back is a change of its own.
    await home.writePolicy('')
    await change('back', ['bob', 'dan'])
    await home.writePolicy(MORE)
    expect((await adopt('more')).err).toContain('something else was put in force since')
    await home.writePolicy('')
  })

  test('are what they were for a command that died before the record; it is run again', async () => {
    await home.writePolicy(MORE)
    const { words } = await propose('died', 'alice')
    for (const person of ['bob', 'carol']) await speak('approve', 'died', { person, words })
    const { sequence } = await show()
    const outside = outsidePool(home.database)
    // The entry is written, and what comes after it fails.
    await outside.query('alter table notices rename to notices_away')
    expect((await adopt('died')).code).toBe(3)
    await outside.query('alter table notices_away rename to notices')
    await outside.end()
    expect((await show()).sequence).toBe(sequence)
    expect(await adopt('died')).toMatchObject({ code: 0, err: '' })
    expect((await show()).sequence).toBe(sequence + 1)
    // Whoever was told that it failed, and it had not, changes nothing by trying again.
    expect(JSON.parse((await adopt('died')).out)).toEqual({ adopted: false })
    await home.writePolicy('')
    await change('died-back', ['bob', 'carol'])
  })

  test('that one officer rejects are never in force, whoever approved them', async () => {
    await home.writePolicy(MORE)
    const proposed = await propose('rejected', 'alice')
    for (const person of ['bob', 'carol']) {
      expect((await speak('approve', 'rejected', { person, words: proposed.words })).code).toBe(0)
    }
    const rejected = await speak('reject', 'rejected', { person: 'dan', words: proposed.words })
    expect(rejected.code).toBe(0)
    expect((await adopt('rejected')).err).toContain('dan has rejected it')
    // Who has approved may still say no.
    const again = await propose('second-thoughts', 'alice')
    for (const person of ['bob', 'carol']) {
      expect((await speak('approve', 'second-thoughts', { person, ...again })).code).toBe(0)
    }
    expect((await speak('reject', 'second-thoughts', { person: 'bob', ...again })).code).toBe(0)
    expect((await adopt('second-thoughts')).err).toContain('bob has rejected it')
    await home.writePolicy('')
  })
})

describe('other officers', () => {
  let zoe: string

  test('are added by the quorum, and by their own signature over the whole epoch', async () => {
    const { did } = { did: (await keyNamed('zoe cli')).did() }
    const file = home.path('zoe')
    const asked = ['officers', 'add', 'zoe', '--org', 'acme', '--did', did]
    // What would be refused is refused before roster.yaml is another one.
    const before = await readFile(home.path('policies/roster.yaml'), 'utf8')
    expect((await home.run([...asked, '--proposer', 'mallory', '--out', file])).code).toBe(1)
    expect(
      (await home.run([...asked, '--proposer', 'alice', '--out', home.path('more')])).err,
    ).toContain('is there already')
    expect(await readFile(home.path('policies/roster.yaml'), 'utf8')).toBe(before)
    const { words, says } = await home.json<Proposed>([
      ...asked,
      '--proposer',
      'alice',
      '--out',
      file,
    ])
    expect(says).toContainEqual(expect.stringContaining(`person zoe has the did:key zoe-1: ${did}`))
    for (const person of ['bob', 'carol']) {
      expect((await speak('approve', 'zoe', { person, words })).code).toBe(0)
    }
    expect((await adopt('zoe')).err).toContain('zoe has not accepted with zoe-1')
    const { roster } = await home.json<Checked>(['policy', 'check'])
    zoe = await acceptAs(home, 'zoe', roster.words)
    expect(await adopt('zoe', zoe)).toMatchObject({ code: 0 })
    expect((await show()).inForce.roster.epoch).toBe(2)
    expect(await readFile(home.path('policies/roster.yaml'), 'utf8')).toContain('previous: ')
  })

  test('leave, and what they approve counts for nothing any more', async () => {
    const file = home.path('leaves')
    const { words } = await home.json<Proposed>([
      'officers',
      'remove',
      'carol',
      '--proposer',
      'alice',
      '--out',
      file,
    ])
    for (const person of ['bob', 'dan']) {
      expect((await speak('approve', 'leaves', { person, words })).code).toBe(0)
    }
    expect(await adopt('leaves')).toMatchObject({ code: 0 })
    await home.writePolicy(MORE)
    const proposed = await propose('after', 'alice')
    const late = await speak('approve', 'after', { person: 'carol', words: proposed.words })
    expect(late.err).toContain('no active officer of roster epoch 3')
    await home.writePolicy('')
  })

  test('never come back under their name, and nobody is taken out of the list', async () => {
    const path = home.path('policies/roster.yaml')
    const text = await readFile(path, 'utf8')
    const { err } = await home.run([
      'officers',
      'add',
      'carol',
      '--did',
      (await keyNamed('zoe 2')).did(),
      '--proposer',
      'alice',
      '--out',
      home.path('carol'),
    ])
    expect(err).toContain('carol was removed for good')
    const { roster } = await home.json<Checked>(['policy', 'check'])
    const next = text
      .replace('epoch: 3', 'epoch: 4')
      .replace(/previous: \w+/, `previous: ${roster.digest}`)
    // The same person under another name; no group asks for carol any more.
    const policy = home.path('policies/policy.yaml')
    await writeFile(path, next.replace('- id: carol', '- id: clara'))
    await writeFile(policy, (await readFile(policy, 'utf8')).replace('carol', 'clara'))
    const gone = await home.run(['policy', 'propose', home.path('gone'), '--proposer', 'alice'])
    expect(gone.err).toContain('person carol is gone')
    await writeFile(path, text)
    await home.writePolicy('')
  })
})

test('an auditor judges all of it again from the export alone', async () => {
  await withService(home, async ({ auditLog }) => {
    while ((await auditLog.sequence()) > 0);
    await auditLog.look()
    expect(auditLog.gate.cause()).toBeNull()
  })
  const folder = home.path('export')
  await home.json(['audit', 'export', folder])
  const card = home.path('card.yaml')
  await writeFile(card, `trust: holdfast/trust/v1\nlog: "${first.vkey}"\nwitnesses: []\n`)
  const kept = ['--checkpoint', `${folder}/checkpoint`]
  const { code, out } = await home.run(['audit', 'verify', folder, '--trust', card, ...kept])
  expect({ code, ...JSON.parse(out) }).toMatchObject({
    code: 0,
    verdict: 'sound',
    findings: [],
    missing: [],
  })
})
