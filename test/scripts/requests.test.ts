import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cidOf } from '../../src/plc/encode.ts'
import { parseSignedOperation } from '../../src/plc/operation.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { genesisOf } from '../support/operations.ts'
import { runCommand } from '../support/run-command.ts'
import type { Ran } from '../support/run-command.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

let service: Service
let home: string
let token: string

beforeAll(async () => {
  service = await startService()
  home = await mkdtemp(join(tmpdir(), 'holdfast-requests-'))
  token = `${service.pds.accessKeyId}.${service.pds.token}`
})
afterAll(async () => {
  await service.stop()
  await rm(home, { recursive: true })
})

/** `requests ARGS…` as the caller `pds`, away from the service's data directory. */
async function requests(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return await runCommand(['requests', ...args, '--url', service.url], {
    cwd: home,
    env: { HOLDFAST_TOKEN: token, ...env },
  })
}

let accounts = 0
const genesis = (): PlcOperation => genesisOf(`command-${(accounts += 1)}`, [service.keyDid])

async function operationFile(operation: object): Promise<string> {
  const file = join(home, `op-${(accounts += 1)}.json`)
  await writeFile(file, JSON.stringify(operation, null, 2))
  return file
}

async function proposed(operation: object = genesis()): Promise<string> {
  const file = await operationFile(operation)
  const ran = await requests(['propose', '--key', 'pds', '--from-file', file, '--json'])
  expect(ran).toMatchObject({ code: 0, err: '' })
  return (JSON.parse(ran.out) as { id: string }).id
}

describe('requests', () => {
  it('a file of goat’s goes all its way, and comes back as goat’s', async () => {
    const operation = genesis()
    const file = await operationFile({ ...operation, sig: '' })
    const proposed = await requests(['propose', '--key', 'pds', '--from-file', file])
    expect(proposed).toMatchObject({ code: 0, err: '' })
    expect(proposed.out).toContain('state: approved\ndecision: allowed by GENESIS\n')
    expect(proposed.out).toContain('operation: genesis, which makes a new identity')
    const id = /^request: (\S+)$/m.exec(proposed.out)?.[1] ?? ''

    const early = await requests(['show', id, '--operation'])
    expect(early).toMatchObject({ code: 1, out: '' })
    expect(early.err).toContain('it has no signature to show')

    const signed = await requests(['sign', id, '--operation'])
    expect(signed).toMatchObject({ code: 0, err: '' })
    expect(await requests(['show', id, '--operation'])).toEqual(signed)
    const whole = parseSignedOperation(JSON.parse(signed.out))
    expect(whole).toEqual({ ...operation, sig: whole.sig })
    expect(signed.out.split('\n').slice(0, 3)).toEqual([
      '{',
      '  "type": "plc_operation",',
      '  "rotationKeys": [',
    ])
    expect(signed.out.endsWith(`"prev": null,\n  "sig": "${whole.sig}"\n}\n`)).toBe(true)

    const submitted = await requests(['submit', id])
    expect(submitted.code).toBe(0)
    expect(submitted.out).toContain(`state: confirmed\n`)
    expect(submitted.out).toContain(`cid: ${cidOf(whole)}\ndirectory: accepted\n`)
  })

  it('lists, newest first, in pages', async () => {
    const [first, second] = [await proposed(), await proposed()]
    const page = await requests(['list', '--state', 'approved', '--limit', '1'])
    expect(page).toMatchObject({ code: 0, err: '' })
    expect(page.out).toMatch(new RegExp(`^${second}  approved .*genesis .*\\n`))
    expect(page.out).toContain(`More: --cursor ${second}`)
    const rest = await requests(['list', '--state', 'approved', '--cursor', second, '--json'])
    const { requests: shown } = JSON.parse(rest.out) as { requests: { id: string }[] }
    expect(shown.map(({ id }) => id)).toEqual([first])
    await requests(['cancel', first])
    await requests(['cancel', second])
  })

  it('a file may come from standard input', async () => {
    const ran = await runCommand(
      ['requests', 'propose', '--key', 'pds', '--from-file', '-', '--url', service.url],
      { cwd: home, env: { HOLDFAST_TOKEN: token }, input: JSON.stringify(genesis()) },
    )
    expect(ran).toMatchObject({ code: 0, err: '' })
  })

  it('exits with 1 and the reason when the answer is no', async () => {
    const file = await operationFile({ ...genesis(), rotationKeys: [] })
    const denied = await requests(['propose', '--key', 'pds', '--from-file', file, '--json'])
    expect(denied.code).toBe(1)
    expect(denied.err).toContain('denied by PLC-ROTATION-KEYS-EMPTY')
    expect(JSON.parse(denied.out)).toMatchObject({
      code: 'denied',
      rule: 'PLC-ROTATION-KEYS-EMPTY',
    })
    const id = await proposed()
    expect(await requests(['cancel', id])).toMatchObject({ code: 0 })
    expect(await requests(['sign', id])).toMatchObject({ code: 1, out: '' })
    expect(await requests(['submit', id])).toMatchObject({ code: 1 })
    const absent = '00000000-0000-4000-8000-000000000000'
    expect(await requests(['show', absent])).toMatchObject({ code: 1 })
  })

  it('a submission that is refused exits with 1, one without an answer with 3', async () => {
    const id = await proposed()
    await requests(['sign', id])
    service.directory.fail({ on: 'submit', mode: 'too many', times: 1 })
    const refused = await requests(['submit', id])
    expect(refused.code).toBe(1)
    expect(refused.out).toContain('directory: refused 429 Too Many Requests\n')
    service.directory.fail({ on: 'submit', mode: 'refuse', times: 1 })
    expect(await requests(['submit', id])).toMatchObject({ code: 3 })
    expect(await requests(['submit', id])).toMatchObject({ code: 0 })
  })

  it('takes the token from a file too, and the development caller from the data directory', async () => {
    const file = join(home, 'token')
    await writeFile(file, `${token}\n`)
    const env = { HOLDFAST_TOKEN: '', HOLDFAST_TOKEN_FILE: file }
    expect(await requests(['list', '--limit', '1'], env)).toMatchObject({ code: 0 })
    const { accessKeyId, secretAccessKey } = service.pds
    const lines = `AWS_ACCESS_KEY_ID=${accessKeyId}\nAWS_SECRET_ACCESS_KEY=${secretAccessKey}\n`
    await writeFile(join(home, 'pds.env'), lines)
    const atHome = { HOLDFAST_TOKEN: '', HOLDFAST_DATA_DIR: home }
    expect(await requests(['list', '--limit', '1'], atHome)).toMatchObject({ code: 0 })
  })

  it('finds the service of its own environment without a URL', async () => {
    const { port } = new URL(service.url)
    const ran = await runCommand(['requests', 'list', '--limit', '1'], {
      cwd: home,
      env: { HOLDFAST_TOKEN: token, HOLDFAST_PORT: port },
    })
    expect(ran).toMatchObject({ code: 0, err: '' })
  })
})

describe('what is wrong with the question exits with 2 and shows no secret', () => {
  it.each<[string, string[], Record<string, string>, string]>([
    ['no verb', [], {}, 'Usage'],
    ['an unknown verb', ['approve', 'x'], {}, 'Usage'],
    ['no id', ['show'], {}, 'Usage'],
    ['two ids', ['show', 'a', 'b'], {}, 'Usage'],
    ['an option of another verb', ['list', '--operation'], {}, 'Usage'],
    ['a missing key', ['propose', '--from-file', 'x'], {}, 'Usage'],
    [
      'a file that is not there',
      ['propose', '--key', 'pds', '--from-file', 'nothing'],
      {},
      'nothing',
    ],
    ['an unknown state', ['list', '--state', 'x'], {}, 'STATE is one of'],
    ['a limit that is none', ['list', '--limit', '0'], {}, 'limit'],
    [
      'a token of another form',
      ['list'],
      { HOLDFAST_TOKEN: 'hunter2' },
      'HOLDFAST_TOKEN: is not of',
    ],
    ['no token', ['list'], { HOLDFAST_TOKEN: '' }, 'HOLDFAST_TOKEN: is not set'],
    [
      'an unknown setting',
      ['list'],
      { HOLDFAST_TOKN: 'hunter2' },
      'HOLDFAST_TOKN: no such setting',
    ],
    [
      'a wrong token',
      ['list'],
      { HOLDFAST_TOKEN: `HFAKAAAAAAAAAAAAAAAA.${'x'.repeat(43)}` },
      'token does not match',
    ],
  ])('%s', async (_name, args, env, says) => {
    const ran = await requests(args, { HOLDFAST_DATA_DIR: join(home, 'empty'), ...env })
    expect(ran).toMatchObject({ code: 2, out: '' })
    expect(ran.err).toContain(says)
    expect(ran.err).not.toContain('hunter2')
    expect(ran.err).not.toContain(service.pds.token)
  })

  it('a token over plain http to another machine', async () => {
    const ran = await runCommand(['requests', 'list', '--url', 'http://192.0.2.1:2590'], {
      cwd: home,
      env: { HOLDFAST_TOKEN: token },
    })
    expect(ran).toMatchObject({ code: 2, out: '' })
    expect(ran.err).toContain('over https only')
  })
})

it('a service that is not there exits with 3', async () => {
  const ran = await runCommand(['requests', 'list', '--url', 'http://127.0.0.1:1'], {
    cwd: home,
    env: { HOLDFAST_TOKEN: token },
  })
  expect(ran).toMatchObject({ code: 3, out: '' })
  expect(ran.err).toContain('no answer from the service')
})
