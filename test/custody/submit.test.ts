import { Secp256k1Keypair } from '@atproto/crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createPropose } from '../../src/custody/propose.ts'
import { reconcile } from '../../src/custody/reconcile.ts'
import { createSubmit } from '../../src/custody/submit.ts'
import type { Submit, SubmitDeps } from '../../src/custody/submit.ts'
import type { RecordedOperation, SubmitOutcome } from '../../src/directory/submit.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import { createCancel } from '../../src/store/cancel.ts'
import { createSubmissionStore } from '../../src/store/submission.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { directoryThat } from '../support/fake-directory.ts'
import { genesisOf, renamed, signBy, signedWith } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'

let custody: Custody
let deps: SubmitDeps
let submit: Submit
/** What was sent to the directory, in order. */
let sent: string[]
/** What it does with the next one; it takes it by default. */
let answers: ((recorded: RecordedOperation) => SubmitOutcome)[]

beforeAll(async () => {
  custody = await openCustody()
  deps = {
    directory: custody.directory,
    verify: custody.deps.verify,
    submissions: createSubmissionStore(custody.db),
    submitOperation: async (recorded) => {
      sent.push(recorded.cid)
      return (answers.shift() ?? taken)(recorded)
    },
  }
  submit = createSubmit(deps)
})
afterEach(async () => {
  watchNothing()
  await custody.check()
})

function watchNothing(): void {
  delete custody.watch.before
  delete custody.watch.after
}

afterAll(async () => await custody.close())

const taken = (recorded: RecordedOperation): SubmitOutcome => {
  custody.directory.submit(recorded)
  return { kind: 'accepted' }
}

/** A request with a recorded signature, and the operation it made. */
async function returned(operation = genesisOf(newName(), [custody.key.did])) {
  sent = []
  answers = []
  const result = await custody.sign(operation)
  if (result.kind !== 'signed') throw new Error(JSON.stringify(result))
  const { rows } = await custody.pool.query<{ did: string }>(
    'select did from requests where id = $1',
    [result.requestId],
  )
  const signed: Signed = signedWith(operation, result.compact, rows[0]?.did ?? null)
  return { input: { caller: 'pds', requestId: idOf(result) }, signed }
}

/** Nobody stops the runs here. */
const running = new AbortController().signal

let names = 0
const newName = (): string => `submitted-${(names += 1)}`

async function stateOf({ requestId }: { requestId: string }): Promise<string> {
  const { rows } = await custody.pool.query<{ state: string }>(
    'select state from requests where id = $1',
    [requestId],
  )
  return rows[0]?.state ?? ''
}

async function kindsOf({ requestId }: { requestId: string }): Promise<string[]> {
  const { rows } = await custody.pool.query<{ kind: string }>(
    `select kind from audit_outbox where subject = $1 and kind not like 'request.proposed'
     and kind not like 'signature.%' order by id`,
    [requestId],
  )
  return rows.map(({ kind }) => kind)
}

describe('a submission', () => {
  test('that the log shows is not sent', async () => {
    const { input, signed } = await returned()
    custody.directory.submit(signed)
    expect(await submit(input)).toEqual({ kind: 'sent' })
    expect(sent).toEqual([])
    expect(await kindsOf(input)).toEqual(['operation.confirmed'])
  })

  test('twice at once is one confirmation', async () => {
    const { input } = await returned()
    const results = await Promise.all([submit(input), submit(input), submit(input)])
    expect(results).toEqual([{ kind: 'sent' }, { kind: 'sent' }, { kind: 'sent' }])
    expect(await stateOf(input)).toBe('confirmed')
    const kinds = await kindsOf(input)
    expect(kinds.filter((kind) => kind === 'operation.confirmed')).toHaveLength(1)
  })

  test('that is refused although the log shows it holds', async () => {
    const { input } = await returned()
    answers.push((recorded) => {
      taken(recorded)
      return { kind: 'refused', status: 400, message: 'Invalid signature on op\u202e' }
    })
    expect(await submit(input)).toEqual({ kind: 'sent' })
    expect(await stateOf(input)).toBe('confirmed')
    expect(await kindsOf(input)).toEqual(['submission.refused', 'operation.confirmed'])
    const { rows } = await custody.pool.query<{ message: string }>(
      'select message from submissions where request_id = $1',
      [input.requestId],
    )
    expect(rows[0]?.message).toBe('Invalid signature on op\\u{202e}')
  })

  test('is accepted and not in the log yet: submitted, until a look finds it', async () => {
    const { input, signed } = await returned()
    answers.push(() => ({ kind: 'accepted' }))
    await submit(input)
    expect(await stateOf(input)).toBe('submitted')
    expect(await reconcile(deps, running)).toEqual({ looked: 1, confirmed: 0, lost: 0, unread: 0 })
    custody.directory.submit(signed)
    expect(await reconcile(deps, running)).toEqual({ looked: 1, confirmed: 1, lost: 0, unread: 0 })
    expect(await reconcile(deps, running)).toMatchObject({ looked: 0 })
    expect(await kindsOf(input)).toEqual(['submission.accepted', 'operation.confirmed'])
  })

  test('without an answer is looked for as well; a refused one is not', async () => {
    const unanswered = await returned()
    answers.push(() => ({ kind: 'unknown', cause: new Error('socket hang up') }))
    await submit(unanswered.input)
    const refused = await returned()
    answers.push(() => ({ kind: 'refused', status: 400, message: 'no' }))
    await submit(refused.input)
    custody.directory.submit(unanswered.signed)
    expect(await reconcile(deps, running)).toMatchObject({ looked: 1, confirmed: 1 })
    expect(await stateOf(unanswered.input)).toBe('confirmed')
    expect(await stateOf(refused.input)).toBe('returned')
  })

  test('that a stronger key nullified since is lost, and its bytes with it', async () => {
    const user = await Secp256k1Keypair.create()
    const first = await returned(genesisOf(newName(), [user.did(), custody.key.did]))
    await submit(first.input)
    const base = first.signed
    const ours = await returned(renamed(base, newName()))
    answers.push(() => ({ kind: 'accepted' }))
    await submit(ours.input)
    custody.directory.submit(ours.signed)
    const theirs = await signBy(user, renamed(base, newName()), base.did)
    custody.directory.submit(theirs, { nullifies: [ours.signed.cid] })
    expect(await reconcile(deps, running)).toMatchObject({ lost: 1 })
    expect(await stateOf(ours.input)).toBe('superseded')
    expect(await submit(ours.input)).toMatchObject({ kind: 'conflict', state: 'superseded' })
    const { sig: _sig, ...unsigned } = ours.signed.operation
    expect(await custody.ask(signingBytes(unsigned as never))).toMatchObject({ kind: 'denied' })
  })

  test.each(['is down', 'answers nonsense'] as const)(
    'is not sent while the directory %s',
    async (behaviour) => {
      const { input } = await returned()
      const blind = createSubmit({ ...deps, directory: directoryThat(behaviour) })
      expect(await blind(input)).toMatchObject({ kind: 'busy' })
      expect(sent).toEqual([])
      expect(await kindsOf(input)).toEqual([])
    },
  )

  test('of bytes that somebody changed in the database is not sent', async () => {
    const { input } = await returned()
    const other = await returned()
    const swap = `update requests set unsigned = (select unsigned from requests where id = $2) where id = $1`
    const { rows } = await custody.pool.query<{ unsigned: Buffer }>(
      'select unsigned from requests where id = $1',
      [input.requestId],
    )
    await custody.outside.query(swap, [input.requestId, other.input.requestId])
    await expect(submit(input)).rejects.toThrow('does not hold the operation of its CID')
    expect(sent).toEqual([])
    await custody.outside.query('update requests set unsigned = $2 where id = $1', [
      input.requestId,
      rows[0]?.unsigned,
    ])
  })
})

test('a run that is stopped looks no further', async () => {
  for (const _ of [1, 2]) {
    const { input } = await returned()
    answers.push(() => ({ kind: 'accepted' }))
    await submit(input)
  }
  const stopping = new AbortController()
  const directory: SubmitDeps['directory'] = {
    ...custody.directory,
    async getLog(did, signal) {
      stopping.abort()
      return await custody.directory.getLog(did, signal)
    },
  }
  expect(await reconcile({ ...deps, directory }, stopping.signal)).toMatchObject({ looked: 1 })
})

describe('every write of a submission', () => {
  const writes = [
    'update requests',
    'insert submissions',
    'update submissions',
    'insert audit_outbox',
    'commit',
  ]

  test.each(
    writes.flatMap((name) => [
      [name, 'not done'] as const,
      [name, 'done, and told failed'] as const,
    ]),
  )('%s is %s: asking again ends as if nothing had happened', async (name, how) => {
    const { input } = await returned()
    let left = 1
    const fail = (statement: { name: string }): void => {
      if (statement.name === name && left-- > 0) throw new Error(`the test breaks ${name}`)
    }
    Object.assign(custody.watch, how === 'not done' ? { before: fail } : { after: fail })
    await submit(input).catch(() => undefined)
    watchNothing()
    expect(left).toBeLessThan(1)
    expect(await submit(input)).toEqual({ kind: 'sent' })
    expect(await stateOf(input)).toBe('confirmed')
    const confirmed = (await kindsOf(input)).filter((kind) => kind === 'operation.confirmed')
    expect(confirmed).toHaveLength(1)
  })
})

describe('cancelling', () => {
  test('and signing at once: one of the two happens', async () => {
    const cancel = createCancel(custody.db)
    const propose = createPropose(custody.deps)
    for (let n = 0; n < 10; n += 1) {
      const operation = genesisOf(newName(), [custody.key.did])
      const proposed = await propose({
        caller: 'pds',
        key: custody.key,
        message: signingBytes(operation),
      })
      if (proposed.kind !== 'proposed') throw new Error(JSON.stringify(proposed))
      const input = { caller: 'pds', requestId: proposed.requestId }
      const [cancelled, signed] = await Promise.all([cancel(input), custody.sign(operation)])
      expect(signed.kind).toBe('signed')
      // The same bytes, asked for anew: the request that was cancelled stays so.
      const same = idOf(signed) === proposed.requestId
      expect(cancelled.kind).toBe(same ? 'conflict' : 'cancelled')
      expect(await stateOf(input)).toBe(same ? 'returned' : 'cancelled')
    }
  })

  test("of another caller's request finds none", async () => {
    const { input } = await returned()
    const cancel = createCancel(custody.db)
    expect(await cancel({ ...input, caller: 'other' })).toEqual({ kind: 'not-found' })
    expect(await cancel(input)).toEqual({ kind: 'conflict', state: 'returned' })
  })
})
