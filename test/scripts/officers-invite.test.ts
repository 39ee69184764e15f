import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { acceptAs, openOfficersHome } from '../support/officers-home.ts'
import type { Checked, OfficersHome } from '../support/officers-home.ts'
import { missingForBrowser, openPasskeyBrowser } from '../support/passkey-browser.ts'
import type { PasskeyBrowser } from '../support/passkey-browser.ts'
import { outsidePool } from '../support/postgres.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { withService } from '../support/with-service.ts'

// The first officers of a service in `env: prod`, one of whom has a passkey and nothing else: one-time links,
// a real Chromium, the real service and the commands that people type.

const missing = missingForBrowser()
if (missing !== null && process.env['CI'] === 'true') throw new Error(`missing: ${missing}`)

const main = fileURLToPath(new URL('../../scripts/holdfast.ts', import.meta.url))
const MORE = '  - { id: MORE, match: { op: [update], key: [online], diff: any }, require: none }\n'

type Invited = { readonly link: string; readonly until: string }
type Passkey = {
  readonly words: string
  readonly passkey: { readonly id: string; readonly key: string }
}

describe.skipIf(missing !== null)('officers with passkeys', () => {
  let home: OfficersHome
  let env: Record<string, string>
  let browser: PasskeyBrowser
  let service: ChildProcess

  const run = async (args: string[], input = ''): Promise<Ran> =>
    await runCommand([...args, '--json'], { env, cwd: home.dir, input })
  async function json<T>(args: string[], input = ''): Promise<T> {
    const { code, out, err } = await run(args, input)
    if (code !== 0) throw new Error(`${args.join(' ')}: exit ${code}: ${err}`)
    return JSON.parse(out) as T
  }
  const invite = async (...args: string[]) =>
    (await json<Invited>(['officers', 'invite', ...args])).link
  const rosterFile = () => home.path('policies/roster.yaml')

  beforeAll(async () => {
    home = await openOfficersHome()
    const port = await freePort()
    env = {
      ...home.env,
      HOLDFAST_PORT: String(port),
      HOLDFAST_PUBLIC_URL: `http://localhost:${port}`,
    }
    // Alice has no key of any kind yet.
    const text = await readFile(rosterFile(), 'utf8')
    const none = text.replace(/(- id: alice\n[^]*?credentials:)[^]*?(?=\n\n)/, '$1 []')
    await writeFile(
      rosterFile(),
      none.replace('http://localhost:2590', env['HOLDFAST_PUBLIC_URL']!),
    )
    browser = await openPasskeyBrowser()
    await browser.useAuthenticator({ backedUp: false })
    service = await serve()
  }, 60_000)
  afterAll(async () => {
    await stop(service)
    await browser.close()
    await home.remove()
  })

  async function serve(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [main, 'serve'], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let logged = ''
    child.stderr.on('data', (chunk: Buffer) => (logged = `${logged}${String(chunk)}`.slice(-4000)))
    for (let look = 0; look < 300; look += 1) {
      if (child.exitCode !== null) throw new Error(`the service did not start: ${logged}`)
      const url = `http://127.0.0.1:${env['HOLDFAST_PORT']}/healthz`
      const alive = await fetch(url).catch(() => null)
      if (alive?.ok === true) return child
      await sleep(100)
    }
    throw new Error(`the service does not answer: ${logged}`)
  }

  async function stop(child: ChildProcess): Promise<void> {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  }

  /** The words that the page then shows. */
  async function register(link: string): Promise<string> {
    await browser.visit(link)
    await browser.said(/sign what you approve here/)
    await browser.press()
    await browser.said(/Read these words to the operator/)
    return await browser.textOf('#words')
  }

  async function accept(link: string, words: string): Promise<void> {
    await browser.visit(link)
    await browser.said(/You sign all of this/)
    await browser.type(words)
    await browser.press()
  }

  /** What was made, as roster.yaml has it. */
  async function write(person: string, { passkey: { id, key } }: Passkey): Promise<void> {
    const from = (await readFile(rosterFile(), 'utf8')).replace(
      new RegExp(`(- id: ${person}\\n[^]*?credentials:) \\[\\]`),
      `$1
      - kind: webauthn
        id: ${id}
        key: ${key}
        aaguid: 01020304-0506-0708-0102-030405060708
        backupEligible: false
        from: 2026-01-01T00:00:00Z
        until: 2036-01-01T00:00:00Z
`,
    )
    await writeFile(rosterFile(), from)
  }

  test('make them with a link that works once, and read the same words as the operator', async () => {
    const link = await invite('alice')
    expect(link).toMatch(/^http:\/\/localhost:\d+\/console\/passkey#[A-Za-z0-9_-]{43}$/)
    const words = await register(link)
    // The token is in no history.
    expect(browser.address()).not.toContain('#')
    const made = await json<Passkey>(['officers', 'invited', 'alice'])
    expect(made.words).toBe(words)
    await write('alice', made)
    await browser.visit(link)
    await browser.said(/was used, or its 15 minutes are over/)
    expect(await json(['officers', 'invited'])).toMatchObject({
      links: [{ person: 'alice', does: 'register', state: 'answered' }],
    })
  })

  test('make none with a link whose time is over, or that somebody changed', async () => {
    const outside = outsidePool(home.database)
    const newest =
      'token_hash = (select token_hash from invitations order by created_at desc limit 1)'
    const late = await invite('mallory')
    await outside.query(`update invitations set until = clock_timestamp() where ${newest}`)
    await browser.visit(late)
    await browser.said(/its 15 minutes are over/)
    const changed = await invite('mallory')
    const other = 'select asked from invitations where answer is not null limit 1'
    await outside.query(`update invitations set asked = (${other}) where ${newest}`)
    await browser.visit(changed)
    await browser.said(/internal failure/)
    // Nor does the operator believe a row that nobody here wrote.
    expect(await run(['officers', 'invited'])).toMatchObject({
      code: 3,
      err: expect.stringContaining('an invitation was changed in the database'),
    })
    await outside.query(`delete from invitations where ${newest}`)
    const { rows } = await outside.query<{ hash: string }>(
      `select encode(token_hash, 'hex') as hash from invitations where ${newest}`,
    )
    expect(Buffer.from(late.split('#')[1]!, 'base64url').toString('hex')).not.toBe(rows[0]?.hash)
    await outside.end()
  })

  test('sign the whole epoch with them, and are the first', async () => {
    const { words, roster } = await json<Checked>(['policy', 'check'])
    expect(
      await run(['officers', 'invite', 'carol', '--accept', '--credential', 'x']),
    ).toMatchObject({
      code: 1,
      err: expect.stringContaining('no such passkey'),
    })
    await accept(await invite('alice', '--accept'), words)
    await browser.said(/word 1 is another one: this is not the roster/)
    await accept(await invite('alice', '--accept'), roster.words)
    await browser.said(/Signed/)
    const own = home.path('alice.accepted.json')
    await json(['officers', 'invited', 'alice', '--out', own])
    const accepted = ['--accepted', own]
    for (const person of ['bob', 'carol', 'dan']) {
      accepted.push('--accepted', await acceptAs(home, person, roster.words))
    }
    const typed = `${words}\n${roster.words}\n`
    const without = await run(['trust', 'init', ...accepted.slice(2)], typed)
    expect(without.err).toContain('alice has not accepted')
    const { vkey } = await json<{ vkey: string }>(['trust', 'init', ...accepted], typed)
    await writeFile(home.path('card.yaml'), `trust: holdfast/trust/v1\nlog: "${vkey}"\n`)
  })

  test('add another one later, by the quorum and by its own signature', async () => {
    await stop(service)
    service = await serve()
    const words = await register(await invite('carol'))
    const file = home.path('carol.passkey.json')
    expect(await json<Passkey>(['officers', 'invited', 'carol', '--out', file])).toMatchObject({
      words,
    })
    const asked = ['--passkey', file, '--proposer', 'alice', '--out', home.path('change')]
    const add = (person: string) => ['officers', 'add', person, ...asked]
    expect((await run(add('dan'))).err).toContain('is the passkey of carol')
    const proposed = await json<{ words: string }>(add('carol'))
    for (const person of ['bob', 'dan']) {
      const said = ['policy', 'approve', home.path('change'), ...home.asOfficer(person)]
      await json(said, `${proposed.words}\n`)
    }
    const adopt = ['policy', 'adopt', home.path('change')]
    expect((await run(adopt)).err).toContain('carol has not accepted with')
    const { roster } = await json<Checked>(['policy', 'check'])
    const made = JSON.parse(await readFile(file, 'utf8')) as { id: string }
    const more = ['--accept', '--credential', made.id]
    await accept(await invite('carol', ...more), roster.words)
    await browser.said(/Signed/)
    const out = home.path('carol.accepted.json')
    await json(['officers', 'invited', 'carol', '--out', out])
    expect(await json([...adopt, '--accepted', out])).toMatchObject({ adopted: true })
  })

  test('and an auditor judges all of it from the export alone', async () => {
    await stop(service)
    await withService({ env, dir: home.dir }, async ({ auditLog }) => {
      while ((await auditLog.sequence()) > 0);
      await auditLog.look()
    })
    const folder = home.path('export')
    await json(['audit', 'export', folder])
    const trusted = ['--trust', home.path('card.yaml'), '--checkpoint', `${folder}/checkpoint`]
    const { code, out } = await run(['audit', 'verify', folder, ...trusted])
    expect({ code, ...JSON.parse(out) }).toMatchObject({ code: 0, verdict: 'sound', findings: [] })
    service = await serve()
  })

  test('keep the service under the host of their passkeys', async () => {
    const other = { ...env, HOLDFAST_PUBLIC_URL: 'https://other.example' }
    const { code, err } = await runCommand(['serve'], { env: other, cwd: home.dir })
    expect(code).toBe(2)
    expect(err).toMatch(/HOLDFAST_PUBLIC_URL: its host is other.example/)
    await home.writePolicy(MORE)
  })
})
