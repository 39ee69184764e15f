import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDirectory } from '../e2e/support/directory.ts'
import type { TestDirectory } from '../e2e/support/directory.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'

let directory: TestDirectory

beforeAll(async () => {
  directory = await startDirectory()
})
afterAll(async () => await directory.stop())

async function log(...args: string[]): Promise<Ran> {
  return await runCommand(['log', ...args], { env: { HOLDFAST_PLC_URL: directory.url } })
}

type Row = {
  did: string
  operation: Record<string, unknown>
  cid: string
  nullified: boolean
  createdAt: string
}

async function load(path: string): Promise<Row[]> {
  const rows = JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8')) as Row[]
  const entries = rows.map((row) => ({ ...row, createdAt: new Date(row.createdAt) }))
  directory.load(entries as unknown as Parameters<TestDirectory['load']>[0])
  return rows
}

const golden = async (name: string): Promise<string> =>
  await readFile(new URL(`goat/${name}`, import.meta.url), 'utf8')
const vector = '../vectors/plc-audit-logs/valid'

describe('log history and log data', () => {
  it('print what goat prints', async () => {
    const [row] = await load('goat/audit-log.json')
    const did = row?.did ?? ''
    expect(await log('history', did)).toEqual({
      code: 0,
      err: '',
      out: await golden('history.txt'),
    })
    expect(await log('data', did)).toEqual({ code: 0, err: '', out: await golden('data.json') })
  })

  it('leave out what was nullified, but not from the JSON', async () => {
    const rows = await load(`${vector}/log_nullification.json`)
    const did = rows[0]?.did ?? ''
    const active = rows.filter(({ nullified }) => !nullified)
    const { out } = await log('history', did)
    expect(out.match(/^\{$/gm)).toHaveLength(active.length)
    const json = await log('history', did, '--json')
    const entries = JSON.parse(json.out) as Row[]
    expect(entries.map(({ cid, nullified }) => [cid, nullified])).toEqual(
      rows.map(({ cid, nullified }) => [cid, nullified]),
    )
  })

  it('of a tombstone there is history and no data', async () => {
    const [row] = await load(`${vector}/log_tombstone.json`)
    const did = row?.did ?? ''
    expect(await log('history', did)).toMatchObject({ code: 0 })
    const data = await log('data', did)
    expect(data).toMatchObject({ code: 1, out: '' })
    expect(data.err).toContain('tombstone')
  })

  it('are of a log that verifies, or of none', async () => {
    const rows = await load(`${vector}/log_bskyapp.json`)
    const did = rows[0]?.did ?? ''
    const forged = startForged(rows)
    const lying = await startDirectory()
    lying.load(await forged)
    const ran = await runCommand(['log', 'data', did], { env: { HOLDFAST_PLC_URL: lying.url } })
    await lying.stop()
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toContain('does not verify')
  })

  it('exit with 1 for a DID that is not registered, 3 without an answer, 2 for wrong usage', async () => {
    const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'
    expect(await log('data', did)).toMatchObject({ code: 1, out: '' })
    directory.fail({ on: 'read', mode: 'refuse', times: 1 })
    expect(await log('history', did)).toMatchObject({ code: 3, out: '' })
    for (const args of [
      ['history'],
      ['history', 'alice.example.com'],
      ['data', did, did],
      ['x', did],
    ]) {
      expect(await log(...args)).toMatchObject({ code: 2, out: '' })
    }
  })
})

/** The same log, with one handle changed on the way. */
async function startForged(rows: Row[]) {
  const changed = rows.map((row) => ({
    ...row,
    operation: { ...row.operation, alsoKnownAs: ['at://mallory.example.com'] },
    createdAt: new Date(row.createdAt),
  }))
  return changed as unknown as Parameters<TestDirectory['load']>[0]
}
