import { randomBytes } from 'node:crypto'
import { readFile, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode } from '@ipld/dag-cbor'
import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createTestDatabase } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { missingForPkcs11, openSoftHsm } from '../support/softhsm.ts'

// The life of keys by the command line: made, taken in, looked at, retired; each deed on record.

/** A data directory, a database and a token of its own. */
async function openHome() {
  const [database, hsm] = await Promise.all([createTestDatabase(), openSoftHsm()])
  onTestFinished(async () => {
    await database.drop()
    await hsm.close()
  })
  const dataDir = join(hsm.dir, 'data')
  const policies = join(dataDir, 'policies')
  const env = {
    HOLDFAST_DATA_DIR: dataDir,
    HOLDFAST_PKCS11_PIN_FILE: hsm.pinPath,
    DATABASE_URL: database.url,
    ...hsm.environment,
    PATH: process.env['PATH'] ?? '',
  }
  const token = `pkcs11:token=T?module-path=${hsm.shim.modulePath}`

  async function keys(args: readonly string[], input?: string): Promise<Ran> {
    const ran = await runCommand(['keys', ...args], {
      env,
      cwd: hsm.dir,
      ...(input === undefined ? {} : { input }),
    })
    expect(`${ran.out}${ran.err}`).not.toContain(hsm.pin)
    return ran
  }

  async function json<T>(args: readonly string[], input?: string): Promise<T> {
    const { code, out, err } = await keys([...args, '--json'], input)
    if (code !== 0) throw new Error(`exit ${code}: ${err}`)
    return JSON.parse(out) as T
  }

  /** Puts a line into keys.yaml, as its reviewer does. */
  async function pin(line: string): Promise<void> {
    const path = join(policies, 'keys.yaml')
    const text = await readFile(path, 'utf8')
    await writeFile(
      path,
      text.replace(/^list:.*\n/m, (list) => `${list}${line}\n`),
    )
  }

  async function entries(): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: database.url })
    await client.connect()
    try {
      const { rows } = await client.query<{ body: Buffer }>(
        `select body from audit_outbox where kind like 'key.%' order by id`,
      )
      return rows.map(({ body }) => decode(new Uint8Array(body)))
    } finally {
      await client.end()
    }
  }

  return { hsm, dataDir, policies, env, token, keys, json, pin, entries }
}

type Made = { did: string; uri: string }
type Listed = { id: string; health: { uri: string; state: string }[] }
type Report = { id: string; problems: string[]; remarks: string[]; readers: string[] }

const missing = missingForPkcs11()

describe.skipIf(missing !== null)(`keys in a token (needs ${missing ?? 'nothing more'})`, () => {
  test('created, pinned, listed, checked, retired: each deed has its entry', async () => {
    const home = await openHome()
    const { out } = await home.keys(['create', 'hsm', '--token', home.token])
    const line = /^ {2}- \{ id: hsm, .*\}$/m.exec(out)?.[0] ?? ''
    expect(line).toContain('module-path=')
    await home.keys(['list'])
    await home.pin(line)
    const did = /did: "(did:key:z[^"]+)"/.exec(line)?.[1] ?? ''
    expect(await home.hsm.tool('--list-objects', '--type', 'privkey')).toMatch(/label: +hsm$/m)

    const listed = await home.json<Listed[]>(['list'])
    expect(listed.find(({ id }) => id === 'hsm')?.health).toMatchObject([{ state: 'ready' }])
    expect(listed.find(({ id }) => id === 'pds')?.health).toMatchObject([{ state: 'ready' }])
    const [report] = await home.json<Report[]>(['check', 'hsm'])
    expect(report).toMatchObject({ id: 'hsm', problems: [], remarks: [] })
    expect(report?.readers.join()).toContain(`${home.hsm.pinPath}: uid`)

    expect(await home.json(['retire', 'hsm'])).toMatchObject({ did, retired: true })
    expect(await readFile(join(home.policies, 'keys.yaml'), 'utf8')).toContain('retired: true')
    expect(await home.hsm.tool('--list-objects', '--type', 'privkey')).toMatch(/label: +hsm$/m)
    expect(await home.entries()).toMatchObject([
      { kind: 'key.created', key: 'hsm', keyDid: did, home: expect.stringContaining('object=hsm') },
      { kind: 'key.checked', key: 'hsm', keyDid: did, holds: true },
    ])
  })

  test('a label that is taken is refused, and the key that has it stays', async () => {
    const home = await openHome()
    const made = await home.json<Made>(['create', 'one', '--token', home.token])
    const again = await home.keys(['create', 'one', '--token', home.token])
    expect(again).toMatchObject({ code: 1, err: expect.stringContaining('is there already') })
    const found = await home.json<Made[]>(['list', '--token', home.token])
    expect(found.map(({ did }) => did)).toEqual([made.did])
  })

  test('the key of a PDS is imported into a token and into a file: one key, two homes', async () => {
    const home = await openHome()
    const hex = randomBytes(32).toString('hex')
    const inToken = await home.json<Made>(
      ['import', 'old', '--from', '-', '--token', home.token],
      hex,
    )
    const inFile = await home.json<Made>(['import', 'old', '--from', '-'], hex)
    expect(inToken.did).toBe(inFile.did)
    await home.keys(['list'])
    const homes = JSON.stringify([inToken.uri, inFile.uri])
    await home.pin(
      `  - { id: old, class: online, curve: K-256, did: "${inFile.did}", homes: ${homes}, exposed: true }`,
    )
    const reports = await home.json<Report[]>(['check', 'old'])
    expect(reports.map(({ problems }) => problems)).toEqual([[], []])
    expect(reports[0]?.remarks.join()).toContain('it was not made in this token')
    expect(reports[0]?.remarks.join()).toContain('outside of custody')
    const kinds = (await home.entries()).map(
      ({ kind, home: place }) => `${String(kind)} ${String(place)}`,
    )
    expect(kinds).toEqual([
      'key.imported pkcs11:token=T;object=old;id=' + idOf(inToken.uri),
      'key.imported file:old',
      'key.checked pkcs11:token=T;object=old;id=' + idOf(inToken.uri),
      'key.checked file:old',
    ])
  })

  test('what is wrong is named: another key, no key, a token that is away', async () => {
    const home = await openHome()
    const made = await home.json<Made>(['create', 'right', '--token', home.token])
    const other = await home.json<Made>(['create', 'other', '--token', home.token])
    await home.keys(['list'])
    const lineOf = (id: string, did: string, uri: string) =>
      `  - { id: ${id}, class: online, curve: K-256, did: "${did}", uri: "${uri}" }`
    await home.pin(lineOf('wrong', made.did, other.uri))
    expect(await home.keys(['check', 'wrong'])).toMatchObject({
      code: 1,
      out: expect.stringContaining(`the token shows ${other.did}, but ${made.did} is pinned`),
    })
    await home.pin(
      lineOf('gone', other.did, made.uri.replace(/object=[^;]+;id=[^?]+/, 'object=no')),
    )
    await rename(home.hsm.tokens, `${home.hsm.tokens}.away`)
    const states = (await home.json<Listed[]>(['list'])).flatMap(({ health }) => health)
    expect(states.map(({ state }) => state).join('\n')).toContain('cannot be asked')
    await rename(`${home.hsm.tokens}.away`, home.hsm.tokens)
    const [gone] = (await home.json<Listed[]>(['list'])).filter(({ id }) => id === 'gone')
    expect(gone?.health).toMatchObject([{ state: expect.stringContaining('missing') }])
  })

  test('a refused PIN latches the token for every command; unlatch wants it corrected first', async () => {
    const home = await openHome()
    await home.keys(['list'])
    await home.hsm.setPin('not the PIN')
    const create = ['create', 'k', '--token', home.token]
    const first = await home.keys(create)
    expect(first).toMatchObject({ code: 3, err: expect.stringContaining('keys unlatch') })
    expect((await home.keys(create)).code).toBe(3)
    expect(await home.hsm.shim.count('C_Login')).toBe(1)
    const serial = /holdfast keys unlatch ([0-9a-f]+)/.exec(first.err)?.[1] ?? ''

    expect((await home.keys(['list'])).err).toContain(`token ${serial} is latched`)
    expect(await home.keys(['unlatch', 'nothing'])).toMatchObject({
      code: 1,
      err: expect.stringContaining(`latched are: ${serial}`),
    })
    expect(await home.keys(['unlatch', serial])).toMatchObject({
      code: 1,
      err: expect.stringContaining('has not changed since'),
    })
    await home.hsm.setPin(home.hsm.pin)
    expect((await home.keys(['unlatch', serial])).code).toBe(0)
    expect((await home.keys(create)).code).toBe(0)
    expect(await home.entries()).toMatchObject([
      { kind: 'key.unlatched', serial, reason: expect.stringContaining('refused the PIN') },
      { kind: 'key.created' },
    ])
  })

  test('--same-pin tries the PIN that was refused, once, when a person says so', async () => {
    const home = await openHome()
    await home.keys(['list'])
    await home.hsm.setPin('not the PIN')
    const { err } = await home.keys(['create', 'k', '--token', home.token])
    const serial = /holdfast keys unlatch ([0-9a-f]+)/.exec(err)?.[1] ?? ''
    expect((await home.keys(['unlatch', serial, '--same-pin'])).code).toBe(0)
    expect((await home.keys(['create', 'k', '--token', home.token])).code).toBe(3)
    expect(await home.hsm.shim.count('C_Login')).toBe(2)
  })

  test('wrong usage is exit 2 and says what is right; nothing is made', async () => {
    const home = await openHome()
    const wrong: [string[], string][] = [
      [['create'], 'ID'],
      [['create', 'Upper'], 'use a-z, 0-9 and -'],
      [['create', 'k', '--curve', 'ed25519'], 'K-256|P-256'],
      [['create', 'k', '--token', 'pkcs11:token=T'], 'module-path= must name'],
      [['create', 'k', '--token', `${home.token}&pin-value=1`], 'pin-value= is refused'],
      [['check', 'nothing'], 'no online key nothing'],
      [['retire', 'nothing'], 'no online key nothing'],
      [['unlatch'], 'SERIAL'],
      [['rotate'], 'list|create|import|check|retire|unlatch'],
    ]
    for (const [args, says] of wrong) {
      expect(await home.keys(args)).toMatchObject({ code: 2, err: expect.stringContaining(says) })
    }
    expect(await readdir(join(home.dataDir, 'keys'))).toEqual(['pds.json'])
    expect(await home.hsm.shim.count('C_GenerateKeyPair')).toBe(0)
  })
})

const idOf = (uri: string) => /id=([^?]+)/.exec(uri)?.[1] ?? ''
