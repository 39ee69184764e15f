import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../src/audit/checkpoint.ts'
import { formatVkey, parseVkey } from '../../src/audit/note.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { createWitnessing } from '../../src/sequencer/witnessing.ts'
import type { AskWitness, WitnessEvent, Witnessing } from '../../src/sequencer/witnessing.ts'
import { createCosignedStore } from '../../src/store/cosigned.ts'
import { createDatabase } from '../../src/store/database.ts'
import { askWitnessOverHttp } from '../../src/witness/ask.ts'
import { openTestLog } from '../support/audit-log.ts'
import type { TestLog } from '../support/audit-log.ts'
import { missingForWitness, openLiteWitness } from '../support/litewitness.ts'
import type { LiteWitness } from '../support/litewitness.ts'
import { createTestDatabase } from '../support/postgres.ts'
import type { TestDatabase } from '../support/postgres.ts'

// The client of C2SP's tlog-witness before a witness that is not ours, over the log in a real Postgres.

const missing = missingForWitness()
if (missing !== null && process.env['CI'] === 'true') throw new Error(`missing: ${missing}`)

describe.skipIf(missing !== null)('a log with witnesses', () => {
  let database: TestDatabase
  let log: TestLog
  let one: LiteWitness
  let two: LiteWitness
  let origin: string
  let events: WitnessEvent[]

  beforeAll(async () => {
    database = await createTestDatabase()
    log = await openTestLog(database)
    await log.append(3)
    await log.settle()
    ;({ origin } = (await log.held.read())!)
    one = await openLiteWitness('witness.test/one')
    two = await openLiteWitness('witness.test/two')
    for (const witness of [one, two]) witness.trust(origin, formatVkey(log.signerFor(origin).key))
  })
  afterAll(async () => {
    await one.remove()
    await two.remove()
    await log.close()
    await database.drop()
  })

  function witnessing(
    given: { quorum?: number; ask?: AskWitness; fresh?: boolean } = {},
  ): Witnessing {
    const { quorum = 2, ask = askWitnessOverHttp, fresh = false } = given
    events = []
    const store = createCosignedStore(createDatabase(log.pool))
    return createWitnessing({
      witnesses: [one, two].map(({ url, vkey }) => ({ url, key: parseVkey(vkey) })),
      quorum,
      log: log.store,
      // An instance that has lost what it knew of them.
      store: fresh ? { ...store, sizes: async () => new Map() } : store,
      logKey: async () => log.signerFor(origin).key,
      ask,
      verify: verifyEd25519,
      report: (event) => events.push(event),
    })
  }

  const grow = async (entries: number) => {
    await log.append(entries)
    await log.settle()
    return (await log.held.read())!.size
  }

  test('has its checkpoints cosigned, from the first one on and across tiles', async () => {
    const asked = witnessing()
    expect(await asked.newest()).toBeNull()
    for (const more of [0, 1, 300, 5]) {
      const size = await grow(more)
      await asked.look()
      const cosigned = await asked.newest()
      expect(cosigned?.size).toBe(size)
      expect(cosigned?.cosignatures.map(({ key }) => key.name).toSorted()).toEqual([
        'witness.test/one',
        'witness.test/two',
      ])
      expect([one.seen(origin), two.seen(origin)]).toEqual([size, size])
    }
    expect(events).toEqual([])
  })

  test('asks nobody again about what is cosigned', async () => {
    let asked = 0
    const counting = witnessing({
      ask: async (url, body) => {
        asked += 1
        return await askWitnessOverHttp(url, body)
      },
    })
    await counting.look()
    expect(asked).toBe(0)
    await grow(1)
    await Promise.all([counting.look(), counting.look(), counting.look()])
    expect(asked).toBe(2)
  })

  test('waits for no witness more than its quorum needs', async () => {
    const size = await grow(1)
    const hanging = witnessing({
      quorum: 1,
      ask: async (url, body) =>
        url === two.url ? await new Promise(() => {}) : await askWitnessOverHttp(url, body),
    })
    await hanging.look()
    expect((await hanging.newest())?.size).toBe(size)
  })

  test('begins where a witness says that it is, when that was forgotten', async () => {
    const size = await grow(4)
    const forgetful = witnessing({ fresh: true })
    await forgetful.look()
    expect((await forgetful.newest())?.size).toBe(size)
    expect(events).toEqual([])
  })

  test('is not cosigned without its quorum, and told once; with one of two it is', async () => {
    await two.stop()
    const size = await grow(1)
    const both = witnessing()
    await both.look()
    await both.look()
    expect((await both.newest())?.size).toBeLessThan(size)
    expect(events).toEqual([
      { kind: 'witness-silent', witness: 'witness.test/two', why: 'it does not answer' },
    ])
    const any = witnessing({ quorum: 1 })
    await any.look()
    expect((await any.newest())?.size).toBe(size)
    // The same checkpoint is none to who asks for two.
    expect(await both.newest()).toBeNull()
    await two.start()
    await grow(1)
    await both.look()
    expect((await both.newest())?.size).toBe(size + 1)
  })

  test('believes no cosignature but of the witness’s own key, over this very checkpoint', async () => {
    const size = await grow(1)
    let older = ''
    const lies: AskWitness[] = [
      async () => ({ status: 200, body: '' }),
      async () => ({ status: 200, body: '— witness.test/one AAAAAAAA\n' }),
      // The other one's line, in the place of one's own.
      async (_url, body) => await askWitnessOverHttp(one.url, body),
      async (url, body) => {
        const answer = await askWitnessOverHttp(url, body)
        older ||= answer?.body ?? ''
        return { status: 200, body: older.replace(/..\n$/, 'AA\n') }
      },
      async () => ({ status: 500, body: 'x' }),
      async () => ({ status: 409, body: 'many' }),
    ]
    for (const ask of lies) {
      const lied = witnessing({ ask })
      await lied.look()
      expect((await lied.newest())?.size).toBeLessThan(size)
      expect(events.some(({ kind }) => kind === 'witness-silent')).toBe(true)
    }
    const honest = witnessing()
    await honest.look()
    expect((await honest.newest())?.size).toBe(size)
  })

  test('verifies what the database keeps of it: a row is believed in nothing', async () => {
    const asked = witnessing()
    const kept = await asked.newest()
    const { rows } = await log.outside.query<{ note: string }>(
      'select note from cosigned_checkpoint',
    )
    const { note } = rows[0]!
    const write = async (text: string) =>
      await log.outside.query('update cosigned_checkpoint set note = $1', [text])
    // Without one of its lines; one of them twice; another root; another size.
    const lines = note.split('\n').filter((line) => line.includes('witness.test'))
    for (const text of [
      note.replace(`${lines[0]!}\n`, ''),
      note.replace(lines[0]!, lines[1]!),
      note.replace(`\n${kept!.size}\n`, `\n${kept!.size + 1}\n`),
      'nothing',
    ]) {
      await write(text)
      expect(await asked.newest()).toBeNull()
    }
    await write(note)
    expect((await asked.newest())?.size).toBe(kept?.size)
  })

  test('is told of a witness that was shown another history, or a longer one', async () => {
    const asked = witnessing()
    await grow(1)
    one.forge(origin, new Uint8Array(32))
    await asked.look()
    expect(events).toContainEqual({ kind: 'witness-inconsistent', witness: 'witness.test/one' })
    const ahead = witnessing({ ask: async () => ({ status: 409, body: '100000\n' }) })
    await ahead.look()
    expect(events).toContainEqual({ kind: 'witness-inconsistent', witness: 'witness.test/two' })
  })

  test('gives anybody a note that verifies with both keys', async () => {
    const asked = witnessing({ quorum: 1 })
    await asked.look()
    const { rows } = await log.outside.query<{ note: string }>(
      'select note from cosigned_checkpoint',
    )
    const keys = [log.signerFor(origin).key, parseVkey(two.vkey)]
    const opened = openCheckpoint(Buffer.from(rows[0]!.note), keys, verifyEd25519)
    expect(opened.cosignatures.map(({ key }) => key.name)).toEqual(['witness.test/two'])
  })
})
