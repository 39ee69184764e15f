import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Refusal } from '../../scripts/offline/command.ts'
import { parseAskedView, reviewRequest } from '../../scripts/online/officers/review.ts'
import type { RequestView } from '../../src/api/request.ts'
import { createClient } from '../../src/client/client.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import { verifyLog } from '../../src/plc/log.ts'
import { readPolicySet } from '../../src/policy-files.ts'
import { verify } from '../plc/build-log.ts'
import { persons, personYaml, officerKeys, rosterYaml } from '../policy/officers.ts'
import { movedTo, rekeyed } from '../support/approving.ts'
import { startLyingService } from '../support/lying-service.ts'
import type { Lie } from '../support/lying-service.ts'
import { officerKeyFile, passphraseFile, PASSPHRASE } from '../support/officer-files.ts'
import { withOfficers } from '../support/officers.ts'
import { genesisOf, renamed, signBy } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { missingForPkcs11, openSoftHsm } from '../support/softhsm.ts'
import type { SoftHsm } from '../support/softhsm.ts'

// A running service with real Postgres; officers on machines of their own, with a copy of the policy
// files, the directory and nothing else. Bob's key is on a token, the others' are in files.

const missing = missingForPkcs11()
if (missing !== null && process.env['CI'] === 'true') throw new Error(`missing: ${missing}`)

const PUBLIC_URL = 'http://localhost:2590'

let service: Service
let lying: Awaited<ReturnType<typeof startLyingService>>
let hsm: SoftHsm | null = null
let home: string
let passphrases: string
let policies: string
let pds: HoldfastClient

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdfast-officers-'))
  hsm = missing === null ? await openSoftHsm() : null
  const bob = await personYaml('bob')
  const bobs = hsm === null ? null : await hsm.makeKey('bob', 'P-256')
  const roster = rosterYaml([
    persons.alice,
    persons.carol,
    persons.dora,
    persons.erin,
    bobs === null ? bob : bob.replace((await officerKeys('bob')).cli, bobs),
  ])
  service = await startService({
    officers: { roster, policy: withOfficers },
    publicUrl: PUBLIC_URL,
  })
  lying = await startLyingService(service.url)
  passphrases = await passphraseFile(home)
  for (const person of ['alice', 'carol', 'dora', 'mallory']) await officerKeyFile(home, person)
  policies = join(home, 'policies')
  await cp(join(service.dataDir, 'policies'), policies, { recursive: true })
  const { accessKeyId, token } = service.pds
  pds = createClient({ url: service.url, credential: { bearer: `${accessKeyId}.${token}` } })
})
afterAll(async () => {
  await lying.stop()
  await service.stop()
  await hsm?.close()
  await rm(home, { recursive: true })
})
beforeEach(async () => {
  lying.tell((truth) => truth)
  lying.losePosts(false)
  // Twenty may wait, no more.
  const { requests } = await pds.listRequests({ state: 'proposed' })
  for (const { id } of requests) await pds.cancel(id)
})

let accounts = 0

async function account(rotationKeys = [service.keyDid]): Promise<Signed> {
  const { id } = await pds.propose({
    key: 'pds',
    operation: genesisOf(`officers-${(accounts += 1)}`, rotationKeys),
  })
  await pds.sign(id)
  const { did, cid, signedOperation } = await pds.submit(id)
  return { did: did!, cid: cid!, operation: signedOperation! }
}

/** A request of the PDS that waits for two officers of two organisations. */
async function asked(change: (base: Signed) => ReturnType<typeof movedTo> = toNew) {
  const base = await account()
  const view = await pds.propose({ key: 'pds', operation: change(base) })
  expect(view).toMatchObject({ state: 'proposed', approval: { standing: 'waiting' } })
  return { base, id: view.id, words: view.approval?.words ?? '' }
}
const logOf = async (did: string): Promise<unknown> =>
  await (await fetch(`${service.directory.url}/${did}/log/audit`)).json()

const toNew = (base: Signed) => movedTo(base, 'new')

const keyOf = (person: string): string[] =>
  person === 'bob'
    ? ['--token', hsm?.uri('object=bob') ?? '']
    : ['--key-file', join(home, `${person}.age`), '--passphrase-file', passphrases]

type Options = {
  readonly url?: string
  readonly env?: Record<string, string>
  readonly plc?: readonly string[]
}

async function officer(
  person: string,
  args: readonly string[],
  { url = service.url, env = {}, plc = ['--plc-url', service.directory.url] }: Options = {},
): Promise<Ran> {
  return await runCommand(
    ['requests', ...args, ...keyOf(person), '--policies', policies, '--url', url, ...plc],
    {
      cwd: home,
      env: { ...hsm?.environment, HOME: home, HOLDFAST_PUBLIC_URL: PUBLIC_URL, ...env },
    },
  )
}

const stateOf = async (id: string) => (await pds.readRequest(id)).state

describe('an officer approves', () => {
  test.skipIf(missing !== null)(
    'with a key in a file and another on a token; then the caller’s request is signed',
    async () => {
      const { id, base, words } = await asked()
      const alice = await officer('alice', ['approve', id, '--confirm', words])
      expect(alice).toMatchObject({ code: 0 })
      expect(alice.out).toContain('approved by alice; the request is proposed')
      expect(alice.out).toContain('still missing')
      // Two of one organisation are not two organisations.
      const bob = await officer('bob', ['approve', id, '--confirm', words, '--json'])
      expect(JSON.parse(bob.out)).toMatchObject({
        person: 'bob',
        state: 'proposed',
        standing: 'waiting',
        words,
      })
      const carol = await officer('carol', ['approve', id, '--confirm', words, '--json'])
      expect(JSON.parse(carol.out)).toMatchObject({
        state: 'approved',
        standing: 'met',
        missing: [],
      })
      const signed = await pds.sign(id)
      expect(signed).toMatchObject({ state: 'returned', did: base.did })
    },
  )

  test('after reading what is signed, in words that were computed here', async () => {
    const { id, base, words } = await asked()
    const { err } = await officer('alice', ['approve', id, '--confirm', words])
    for (const line of [
      `identity: ${base.did}`,
      `head: ${base.cid}`,
      'asked by: caller:pds',
      'change service "atproto_pds": type "AtprotoPersonalDataServer", endpoint "https://pds.example.com" to type "AtprotoPersonalDataServer", endpoint "https://new.example.com"',
      'rule MOVE needs 2 of security (alice, bob, carol), from 2 organisations',
      'class: update; changes: services.atproto_pds',
      'You APPROVE this as alice, with alice-cli.',
    ]) {
      expect(err).toContain(line)
    }
    const numbered = [...err.matchAll(/^ {2}\d\. ([a-z]+)$/gm)].map(([, word]) => word)
    expect(numbered.join(' ')).toBe(words)
    expect(err).not.toContain(PASSPHRASE)
  })

  test('and types three of the words at the terminal, which the tool chooses', async () => {
    const { id, words } = await asked()
    const seen = await atTerminal(['requests', 'approve', id], (places) =>
      places.map((place) => words.split(' ')[place - 1]).join(' '),
    )
    expect(seen).toContain('approved by alice')
    const other = await asked()
    const wrong = await atTerminal(['requests', 'approve', other.id], () => 'abandon ability able')
    expect(wrong).toContain('nothing was signed')
    expect((await pds.readRequest(other.id)).approval?.said).toEqual([])
  })

  test('with the identity’s log from a file, when the directory is away', async () => {
    const { id, base, words } = await asked()
    const log = join(home, 'log.json')
    await writeFile(log, JSON.stringify(await logOf(base.did)))
    const away = await officer('alice', ['approve', id, '--confirm', words], {
      plc: ['--plc-url', 'http://127.0.0.1:9'],
    })
    expect(away).toMatchObject({ code: 3, out: '' })
    expect(away.err).toContain('nothing was signed')
    const ran = await officer('alice', ['approve', id, '--confirm', words], { plc: ['--log', log] })
    expect(ran).toMatchObject({ code: 0 })
    await writeFile(log, '[]')
    const empty = await officer('carol', ['approve', id, '--confirm', words], {
      plc: ['--log', log],
    })
    expect(empty.code).toBe(1)
    expect(empty.err).toContain('does not verify')
  })

  test('and is told so when the answer was lost on its way', async () => {
    const { id, words } = await asked()
    lying.losePosts(true)
    const ran = await officer('alice', ['approve', id, '--confirm', words], { url: lying.url })
    expect(ran).toMatchObject({ code: 0 })
    expect((await pds.readRequest(id)).approval?.said).toMatchObject([{ person: 'alice' }])
  })

  test.skipIf(missing !== null)('not: with a token that does not sign', async () => {
    const { id, words } = await asked()
    await hsm!.shim.set({ on: 'C_Sign', action: 'fail', argument: 0x30 })
    const ran = await officer('bob', ['approve', id, '--confirm', words])
    await hsm!.shim.set()
    expect(ran).toMatchObject({ code: 3, out: '' })
    expect(ran.err).toMatch(/^could not run: |token/)
    expect((await pds.readRequest(id)).approval?.said).toEqual([])
  })

  test.each([
    ['dora', 'dora is in no quorum of MOVE'],
    ['mallory', 'is not signed by an active officer'],
  ])('not: %s', async (person, says) => {
    const { id, words } = await asked()
    const ran = await officer(person, ['approve', id, '--confirm', words])
    expect(ran.code).toBeGreaterThan(0)
    expect(ran.err).toContain(says)
    expect((await pds.readRequest(id)).approval?.said).toEqual([])
  })
})

/** Alice at a terminal of her own; `answer` gets the places of the words that are asked for. */
async function atTerminal(
  args: readonly string[],
  answer: (places: number[]) => string,
): Promise<string> {
  const program = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))
  const all = [...args, '--key-file', `${home}/alice.age`, '--policies', policies]
  const more = ['--url', service.url, '--plc-url', service.directory.url]
  const command = [process.execPath, program, ...all, ...more].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd: home,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: home,
      TERM: 'dumb',
      HOLDFAST_PUBLIC_URL: PUBLIC_URL,
    },
  })
  let seen = ''
  let step = 0
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString('utf8')
    const places = /type words (\d), (\d), (\d) of the 8: /.exec(seen)
    if (step === 0 && seen.includes('Passphrase of')) {
      step = 1
      child.stdin.write(`${PASSPHRASE}\r`)
    } else if (step === 1 && places !== null) {
      step = 2
      child.stdin.write(`${answer(places.slice(1).map(Number))}\r`)
    }
  })
  await new Promise((resolve) => child.once('close', resolve))
  return seen
}

describe('an officer’s no', () => {
  test('ends a request for good; a program that asks again is told so', async () => {
    const { id, base, words } = await asked()
    const ran = await officer('dora', ['reject', id, '--confirm', words])
    expect(ran).toMatchObject({ code: 0, out: 'rejected by dora; the request is rejected\n' })
    await expect(pds.propose({ key: 'pds', operation: toNew(base) })).rejects.toMatchObject({
      problem: { code: 'rejected', request: id },
    })
    const late = await officer('alice', ['approve', id, '--confirm', words])
    expect(late).toMatchObject({ code: 1, out: '' })
  })

  test('during the delay cancels what has its quorum already', async () => {
    const { id, words } = await asked(rekeyed)
    const alice = await officer('alice', ['approve', id, '--confirm', words])
    expect(alice.out).toContain('it can be signed from')
    const ran = await officer('carol', ['cancel', id, '--confirm', words, '--json'])
    expect(JSON.parse(ran.out)).toMatchObject({
      verb: 'cancel',
      person: 'carol',
      state: 'rejected',
    })
    expect(await stateOf(id)).toBe('rejected')
  })

  test('is possible while the directory is away, and says what could not be confirmed', async () => {
    const { id, words } = await asked()
    const ran = await officer('carol', ['reject', id, '--confirm', words], {
      plc: ['--plc-url', 'http://127.0.0.1:9'],
    })
    expect(ran).toMatchObject({ code: 0 })
    expect(ran.err).toContain('AS THE SERVICE SHOWS IT')
    expect(ran.err).toContain('WARNING: this could not be confirmed here')
    expect(await stateOf(id)).toBe('rejected')
  })
})

describe('nobody approves their own request', () => {
  test.skipIf(missing !== null)(
    'what was rejected a person proposes anew; others approve it, and the caller has it signed',
    async () => {
      const { id, base, words } = await asked()
      await officer('dora', ['reject', id, '--confirm', words])
      const proposed = await asOfficer('alice', ['propose', '--again', id, '--json'])
      const anew = JSON.parse(proposed.out) as RequestView
      expect(anew.id).not.toBe(id)
      expect(anew).toMatchObject({ state: 'proposed', approval: { requester: 'person:alice' } })

      const confirm = ['--confirm', anew.approval?.words ?? '']
      const own = await officer('alice', ['approve', anew.id, ...confirm])
      expect(own).toMatchObject({ code: 1, out: '' })
      expect(own.err).toContain('alice asked for this, and so does not approve it')
      // The words are about another request than the one that was rejected.
      expect(await officer('bob', ['approve', anew.id, '--confirm', words])).toMatchObject({
        code: 1,
      })
      expect(await officer('bob', ['approve', anew.id, ...confirm])).toMatchObject({ code: 0 })
      expect(await officer('carol', ['approve', anew.id, ...confirm])).toMatchObject({ code: 0 })
      const signed = await pds.sign((await pds.propose({ key: 'pds', operation: toNew(base) })).id)
      expect(signed).toMatchObject({ id: anew.id, state: 'returned' })
    },
  )
})

/** A command that signs its calls and no statement. */
async function asOfficer(person: string, args: readonly string[]): Promise<Ran> {
  return await runCommand(['requests', ...args, ...keyOf(person), '--url', service.url], {
    cwd: home,
    env: { ...hsm?.environment, HOME: home, HOLDFAST_PUBLIC_URL: PUBLIC_URL },
  })
}

describe('a service that lies', () => {
  const noId = '00000000-0000-4000-8000-000000000000'
  const other = 'did:key:zQ3shhP93WnMQozrnxF93QDGhcJX62BFLvsvgkMFcq4HzUw7u'
  const approvalWith = (fields: object): Lie => {
    return (truth) => ({ ...truth, approval: { ...truth.approval, ...fields } })
  }
  type Approval = NonNullable<RequestView['approval']>
  type Said = Approval['said'][number]
  const approvalBy = (fields: (approval: Approval) => object): Lie => {
    return (truth) => ({ ...truth, approval: { ...truth.approval, ...fields(truth.approval!) } })
  }
  const evil = (truth: RequestView) => ({
    ...(truth.operation as { type: 'plc_operation' }),
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://evil.example.com' },
    },
  })
  const lies: Record<string, Lie> = {
    // Shows one operation and has the officer sign another's digest, or the other way round.
    'operation.alsoKnownAs': (truth) => ({
      ...truth,
      operation: { ...truth.operation, alsoKnownAs: 'x' },
    }),
    digest: (truth) => ({ ...truth, operation: evil(truth) }),
    'approval.display': approvalWith({ display: 'environment: dev\nall is well\n' }),
    'approval.words': approvalWith({ words: 'abandon '.repeat(8).trim() }),
    rendering: (truth) => ({ ...truth, rendering: 'operation: nothing to see\n' }),
    class: (truth) => ({ ...truth, class: 'departure' }),
    'did:plc:': (truth) => ({ ...truth, did: `did:plc:${'a'.repeat(24)}` }),
    'approval.keyDid': approvalWith({ keyDid: other }),
    'approval.head': approvalWith({ head: null }),
    'approval.nullifies': approvalWith({ nullifies: ['bafyreiaaa'] }),
    'approval.policy.rules': approvalWith({ policy: { rules: ['OTHER'], digest: '0'.repeat(64) } }),
    'approval.policy.digest': approvalWith({
      policy: { rules: ['MOVE'], digest: '0'.repeat(64) },
    }),
    'approval.roster.epoch': approvalWith({ roster: { epoch: 2, digest: '0'.repeat(64) } }),
    'approval.env': approvalWith({ env: 'prod' }),
    'approval.audience': approvalWith({ audience: 'https://holdfast.example.com' }),
    'approval.requester': approvalWith({ requester: 'caller:other' }),
    'approval.approveBy: is later': approvalWith({ approveBy: 99_999_999_999 }),
    'approval.executeBy': approvalWith({ executeBy: 1 }),
    'approval.delay': approvalWith({ delay: 3600 }),
    'approval.within': approvalWith({ within: 1 }),
    decision: (truth) => ({ ...truth, decision: 'MOVE: needs nobody' }),
    'is not what it must be': (truth) => ({ ...truth, state: 'happy' }),
  }

  test.each(Object.entries(lies))('about %s is found out', async (field, lie) => {
    const { view, own } = (found ??= await seen())
    expect(reviewRequest(parseAskedView(view), own).matter.display).toBe(view.approval?.display)
    const review = () => {
      const asked = parseAskedView(lie(structuredClone(view)))
      return reviewRequest(asked, own)
    }
    expect(review).toThrow(Refusal)
    expect(review).toThrow(field)
  })

  /** What an officer's machine sees of a request that waits. */
  async function seen() {
    const { id, base } = await asked()
    const set = await readPolicySet(policies)
    const log = await verifyLog(base.did, await logOf(base.did), verify)
    const own = { policies: set, log, audience: PUBLIC_URL, now: new Date() }
    return { view: await pds.readRequest(id), own }
  }
  let found: Awaited<ReturnType<typeof seen>> | undefined

  test('is refused by the command, the field is named, and nothing is signed', async () => {
    const { id, words } = await asked()
    const told = ['digest', 'approval.display', 'approval.keyDid', 'approval.env'] as const
    for (const field of [...told, 'another request'] as const) {
      lying.tell(field === 'another request' ? (truth) => ({ ...truth, id: noId }) : lies[field]!)
      const ran = await officer('alice', ['approve', id, '--confirm', words], { url: lying.url })
      expect({ field, code: ran.code, out: ran.out }).toEqual({ field, code: 1, out: '' })
      expect(ran.err).toContain(field)
    }
    expect(lying.calls.filter((call) => call.startsWith('POST') && call.includes(id))).toEqual([])
    lying.tell((truth) => truth)
    const honest = await officer('alice', ['approve', id, '--confirm', words], { url: lying.url })
    expect(honest).toMatchObject({ code: 0 })
  })

  test('about who has spoken is found out by the signatures; what it hides is not seen', async () => {
    const { id, words } = await asked()
    await officer('alice', ['approve', id, '--confirm', words])
    const saidWith = (change: (said: Said) => unknown) =>
      approvalBy((approval) => ({ said: approval.said.map(change) }))
    const spoilt = (said: Said) => {
      const { evidence } = said.saying
      const signature = `${evidence.signature.startsWith('A') ? 'B' : 'A'}${evidence.signature.slice(1)}`
      return { ...said, saying: { ...said.saying, evidence: { ...evidence, signature } } }
    }
    for (const [change, says] of [
      [(said: Said) => ({ ...said, person: 'bob' }), 'approval.said: bob did not say approve'],
      [spoilt, 'approval.said: is no evidence'],
    ] as const) {
      lying.tell(saidWith(change))
      const ran = await officer('carol', ['approve', id, '--confirm', words], { url: lying.url })
      expect(ran).toMatchObject({ code: 1, out: '' })
      expect(ran.err).toContain(says)
    }
    lying.tell((truth) => truth)
    const honest = await officer('carol', ['approve', id, '--confirm', 'x'], { url: lying.url })
    expect(honest.err).toContain('has spoken, as verified on this machine:\n  alice: approve\n')
    expect(honest.err).toContain('still missing: 1 more of security: bob, carol')
  })

  test('can still be told no, about the operation whose bytes it shows', async () => {
    const { id } = await asked()
    lying.tell(approvalWith({ display: 'all is well\n' }))
    const view = await pds.readRequest(id)
    const first = await officer('alice', ['reject', id, '--confirm', 'x'], { url: lying.url })
    expect(first.code).toBe(1)
    const words = [...first.err.matchAll(/^ {2}\d\. ([a-z]+)$/gm)].map(([, word]) => word)
    expect(words.join(' ')).not.toBe(view.approval?.words)
    const ran = await officer('alice', ['reject', id, '--confirm', words.join(' ')], {
      url: lying.url,
    })
    expect(ran).toMatchObject({ code: 0 })
    expect(ran.err).toContain('approval.display, line 1: the service says')
    expect(await stateOf(id)).toBe('rejected')
  })

  test('about the head is found out by the directory: the identity has moved on', async () => {
    const user = await Secp256k1Keypair.create()
    const base = await account([user.did(), service.keyDid])
    const { id, approval } = await pds.propose({ key: 'pds', operation: toNew(base) })
    const theirs = await signBy(user, renamed(base, 'theirs'), base.did)
    await fetch(`${service.directory.url}/${base.did}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(theirs.operation),
    })
    const ran = await officer('alice', ['approve', id, '--confirm', approval?.words ?? ''])
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toContain(
      `prev: the operation follows "${base.cid}", but the head of ${base.did} in the directory is ${theirs.cid}`,
    )
  })

  test('or policy files that are not those in force: neither is signed', async () => {
    const { id, words } = await asked()
    const path = join(policies, 'policy.yaml')
    const policy = await readFile(path, 'utf8')
    await writeFile(path, policy.replace('k: 2', 'k: 1'))
    const ran = await officer('alice', ['approve', id, '--confirm', words])
    await writeFile(path, policy)
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toContain('approval.policy.digest')
    expect(ran.err).toContain('are your policy files those in force?')
  })
})

describe('requests list and show', () => {
  test('with an officer’s key are those that officers were asked about', async () => {
    const { id } = await asked()
    const list = await asOfficer('alice', ['list', '--limit', '1'])
    expect(list).toMatchObject({ code: 0, err: '' })
    expect(list.out).toContain(id)
    const show = await asOfficer('alice', ['show', id])
    expect(show.out).toContain('still missing: 2 more of security')
  })
})

test('usage is told, and no service is asked', async () => {
  const ran = await runCommand(['requests', 'approve'], { cwd: home })
  expect(ran.code).toBe(2)
  expect(ran.err).toContain('requests approve|reject|cancel ID')
  const keyless = await runCommand(['requests', 'approve', 'x'], { cwd: home })
  expect(keyless.err).toContain('name the officer’s key'.replace('’', "'"))
})
