import { chmod, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openBundle } from '../../src/bundle/open.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { readPolicyFiles } from '../../src/policy-files.ts'
import { intentDigest } from '../../src/recovery/intent.ts'
import { digestWords } from '../../src/words/words.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'
import { cardOf, makeAccount, purposeOf, recoveryKeys, writeBundle } from '../support/recovery.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'

// Officers approve a bundle on machines of their own, and the room verifies what they said.

let home: CustodiansHome
let words: string

beforeAll(async () => {
  home = await openCustodians(2)
  await writeFile(home.path('passphrase'), 'a long enough passphrase\n')
  await chmod(home.path('passphrase'), 0o600)
  const files = await readPolicyFiles('policies/examples/three-people')
  let roster = files.roster ?? ''
  for (const person of ['alice', 'bob', 'carol']) {
    const did = await keygen(person)
    roster = roster.replace(new RegExp(`(id: ${person}-cli\\s+did: )\\S+`), `$1${did}`)
  }
  const policies = parsePolicySet({ ...files, roster })
  const order = ['--threshold', '2', '--custodians', home.custodians, '--out', 'key']
  const made = await home.run(['keygen', '--env', 'prod', ...order])
  const did = /PDS_RECOVERY_DID_KEY=(\S+)/.exec(made.out)?.[1] ?? ''
  const known = await recoveryKeys()
  const keys = { ...known, recovery: { ...known.recovery, did } }
  const accounts = [await makeAccount('plain', 1, keys), await makeAccount('renamed', 2, keys)]
  const purpose = purposeOf(keys, policies, { made: new Date().toISOString(), planner: 'carol' })
  const intent = await writeBundle(home.path('bundle'), accounts, { keys, policies, purpose })
  await writeFile(home.path('card.yaml'), cardOf(intent))
  const opened = await openBundle(home.path('bundle'))
  words = digestWords(intentDigest(opened.intent), 8).join(' ')
})
afterAll(async () => await home.close())

async function holdfast(args: readonly string[], input = ''): Promise<Ran> {
  return await runCommand(args, { cwd: home.dir, env: { HOME: home.dir }, input })
}

async function keygen(person: string): Promise<string> {
  const out = ['--out', `${person}.age`, '--passphrase-file', 'passphrase', '--json']
  const made = await holdfast(['officers', 'keygen', ...out])
  return (JSON.parse(made.out) as { did: string }).did
}

const approve = async (person: string, typed = words) =>
  await holdfast(
    ['recovery', 'approve', 'bundle', '--trust', 'card.yaml', '--key-file', `${person}.age`].concat(
      ['--passphrase-file', 'passphrase'],
    ),
    `${typed}\n`,
  )

const trust = ['--trust', 'card.yaml']

async function sign(out: string): Promise<Ran> {
  const shares = ['anna', 'ben'].flatMap((id) =>
    ['--share', home.share(id)].concat('--identity', home.identity(id)),
  )
  const key = ['--record', 'key/recovery-key.json', ...shares, '--operator', 'alice']
  return await home.run(['sign', ...trust, ...key, '--out', out, 'bundle'], { input: `${words}\n` })
}

test('nothing is signed before enough of them have approved', async () => {
  const inspected = await home.run(['inspect', ...trust, 'bundle'])
  expect(inspected.code).toBe(1)
  expect(inspected.out).toMatch(/NOT YET: the ceremony is not approved: missing: /)
  const signed = await sign('early')
  expect(signed.code).toBe(1)
  expect(signed.err).toContain('the ceremony is not approved')
})

test('an officer approves what was shown, with the words of the plan, and once', async () => {
  expect((await approve('alice', `wrong ${words}`)).err).toContain('word 1 is another one')
  const approved = await approve('alice')
  expect(approved.code).toBe(0)
  expect(approved.out).toContain('2 get the new key in the place of the lost one')
  expect(approved.out).toContain('approved by alice: bundle/approvals/alice.json')
  expect((await approve('alice')).err).toContain('alice has said something of it')
})

test('who planned it does not approve it', async () => {
  const { code, err } = await approve('carol')
  expect(code).toBe(1)
  expect(err).toContain('carol asked for this, and so does not approve it')
})

test('with the second officer the room signs, and the approvals are named', async () => {
  expect((await sign('one')).err).toMatch(/missing: .*bob/)
  expect((await approve('bob')).code).toBe(0)
  const inspected = await home.run(['inspect', ...trust, 'bundle'])
  expect(inspected).toMatchObject({ code: 0 })
  expect(inspected.out).toContain('approved by alice, bob')
  const signed = await sign('result')
  expect(signed.code).toBe(0)
  const verified = await home.run(['verify', ...trust, 'bundle', 'result'])
  expect(verified.out).toContain('approved by alice, bob')
})

test('an approval with one bit flipped is refused', async () => {
  const file = home.path('bundle/approvals/bob.json')
  const bytes = await readFile(file)
  for (let at = 0; at < bytes.length; at += 97) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1
    await writeFile(file, changed)
    const { code } = await home.run(['inspect', ...trust, 'bundle', '--sample', '0'])
    expect(code, `byte ${at}`).toBe(1)
  }
  await writeFile(file, bytes)
})
