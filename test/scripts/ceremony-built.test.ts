import { execFile, spawnSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestWords } from '../../src/words/words.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'
import { readSource } from '../support/imports.ts'
import { missingForPkcs11, openSoftHsm } from '../support/softhsm.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const works = (program: string, ...args: string[]) => spawnSync(program, args).status === 0
const missing = [
  ...(works('unshare', '-n', 'true') ? [] : ['a network namespace (root, util-linux)']),
  ...(works('strace', '-V') ? [] : ['strace']),
].join(', ')

let dir: string
let home: CustodiansHome
let built: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-built-'))
  home = await openCustodians(3)
  built = await build('one')
})
afterAll(async () => {
  await home.close()
  await rm(dir, { recursive: true })
})

async function build(name: string): Promise<string> {
  const out = join(dir, name)
  await run(process.execPath, [join(root, 'scripts/build-ceremony.ts'), '--out', out])
  return join(out, 'holdfast-ceremony.mjs')
}

const keygen = (out: string) => [
  'keygen',
  '--env',
  'prod',
  '--threshold',
  '2',
  '--custodians',
  home.custodians,
  '--out',
  home.path(out),
]

describe('the one file', () => {
  test('is the same, byte for byte, when it is built again, and names no folder of this machine', async () => {
    const again = await build('two')
    for (const name of await readdir(join(dir, 'one'))) {
      if (name === 'node_modules') continue
      const bytes = await readFile(join(dir, 'one', name))
      expect(bytes.equals(await readFile(join(dir, 'two', name)))).toBe(true)
      expect(bytes.includes(root)).toBe(false)
    }
    expect(again).not.toBe(built)
  })

  test('prints its own digest in hex and in words, and the list of files beside it agrees', async () => {
    const digest = hash('sha256', await readFile(built), 'buffer')
    const { out } = await home.run(['digest'], { program: built })
    expect(out).toBe(`sha256 ${digest.toString('hex')}\n${digestWords(digest, 24).join(' ')}\n`)
    await run('sha256sum', ['--check', '--strict', 'holdfast-ceremony.sha256'], {
      cwd: join(dir, 'one'),
    })
  })

  test('says that the sources are not the one file', async () => {
    expect(await home.run(['digest'])).toMatchObject({ code: 1, out: '' })
  })

  test('imports nothing but these builtins, and calls nothing that reaches a network', async () => {
    const names = (await readdir(join(dir, 'one'))).filter((name) => name.endsWith('.mjs'))
    expect(names).toEqual([
      'holdfast-ceremony-token-admin.mjs',
      'holdfast-ceremony-token.mjs',
      'holdfast-ceremony.mjs',
    ])
    for (const name of names) {
      const text = await readFile(join(dir, 'one', name), 'utf8')
      const { imports, globals } = readSource(name, text)
      const required = [...text.matchAll(/\brequire\d*\("([^"]+)"\)/g)].map(([, target]) => target)
      const targets = [...imports.map(({ target }) => target), ...required]
      const allowed = ['buffer', 'child_process', 'crypto', 'fs', 'fs/promises', 'module', 'os']
        .concat(['path', 'process', 'timers/promises', 'url', 'util'])
        .flatMap((builtin) => [builtin, `node:${builtin}`])
      expect(targets.length).toBeGreaterThan(2)
      expect(targets.filter((target) => !allowed.includes(target ?? ''))).toEqual(
        name.includes('token') ? ['pkcs11js'] : [],
      )
      const reaching = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest']
      expect(globals.filter((use) => reaching.includes(use.name))).toEqual([])
    }
  })

  test('needs no other file: alone in a folder it makes, checks and splits a key', async () => {
    const alone = home.path('alone')
    await mkdir(alone)
    const program = join(alone, 'holdfast-ceremony.mjs')
    await copyFile(built, program)
    expect(await home.run(keygen('key'), { program })).toMatchObject({ code: 0, err: '' })
    const dealing = ['--dealing', home.path('key/dealing.json')]
    const opened = ['--identity', home.identity('anna'), home.share('anna')]
    const checked = await home.run(['check-shares', ...dealing, ...opened], { program })
    expect(checked).toMatchObject({ code: 0, err: '' })
    expect(await readdir(alone)).toEqual(['holdfast-ceremony.mjs'])
  })

  test('loads no module of the network, as Node itself counts', async () => {
    const preload = home.path('loaded.mjs')
    await writeFile(
      preload,
      "process.on('exit', () => process.stderr.write(JSON.stringify(process.moduleLoadList)))\n",
    )
    const loaded = async (args: readonly string[], program: string) => {
      const { err } = await home.run(args, { program, flags: ['--import', preload] })
      return (JSON.parse(err) as string[]).filter((name) =>
        /^NativeModule (_http|_tls|http|https|http2|net|tls|dns|dgram|internal\/deps\/undici)/.test(
          name,
        ),
      )
    }
    // What Node brings along by itself, and for the pipes to a child process.
    const pipes = home.path('pipes.mjs')
    await writeFile(pipes, "import 'node:child_process'\n")
    const before = await loaded([], pipes)
    expect(await loaded(keygen('loaded'), built)).toEqual(before)
    const client = home.path('client.mjs')
    await writeFile(client, "import 'node:https'\n")
    expect((await loaded([], client)).length).toBeGreaterThan(before.length)
  })
})

describe.skipIf(missing !== '')(`without a network (needs ${missing || 'nothing more'})`, () => {
  /** In a network namespace with no interface up, and every call of the kernel's network on record. */
  async function trace(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    const log = join(dir, 'trace')
    const command = ['-f', '-e', 'trace=network', '-o', log, process.execPath, built, ...args]
    const ran = await run('unshare', ['-n', 'strace', ...command], {
      cwd: home.dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: home.dir, ...env },
    })
    expect(ran.stdout).toContain('PDS_RECOVERY_DID_KEY=')
    // What Node asks of the three pipes that it was started with makes and reaches nothing.
    const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => /\w+\(/.test(line))
    return lines.filter((line) => !/getsock(name|opt)\([012],/.test(line)).join('\n')
  }

  test('makes a key in shares without one call to it', async () => {
    expect(await trace(keygen('traced'))).toBe('')
  })

  test.skipIf(missingForPkcs11() !== null)(
    'makes a key on a token, with no socket but the pipes to the process of its module',
    async () => {
      const hsm = await openSoftHsm()
      try {
        const { PATH: _, ...environment } = hsm.environment
        const uri = hsm.tokenUri(hsm.module)
        const args = ['keygen', '--env', 'prod', '--token', uri, '--out', home.path('token')]
        const calls = await trace(args, environment)
        expect(calls).toContain('socketpair(AF_UNIX')
        // SoftHSM2 itself has something to say to the system's log.
        const reached = calls.replaceAll(/connect\(\d+, .*sun_path="\/dev\/log".*$/gm, '')
        expect(reached).not.toMatch(/AF_(?!UNIX)|\bconnect\(|\bbind\(|\blisten\(/)
      } finally {
        await hsm.close()
      }
    },
  )
})
