import { execFile, spawn, spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBundle } from '../../src/bundle/open.ts'
import { intentDigest } from '../../src/recovery/intent.ts'
import { digestWords } from '../../src/words/words.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'
import {
  cardOf,
  makeAccount,
  recoveryKeys,
  soloPolicies,
  writeBundle,
} from '../support/recovery.ts'
import { hasNamespaces } from '../support/run-command.ts'
import { missingForPkcs11, openSoftHsm } from '../support/softhsm.ts'

// The one file that is built, in a network namespace without any interface, every call to the kernel's
// network on record: what a ceremony does with a bundle.

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const works = (program: string, ...args: string[]) => spawnSync(program, args).status === 0
const missing = [
  ...(hasNamespaces() ? [] : ['a network namespace (root, util-linux)']),
  ...(works('strace', '-V') ? [] : ['strace']),
].join(', ')

type Traced = {
  readonly out: string
  readonly err: string
  readonly code: number | null
  readonly calls: string
}

describe.skipIf(missing !== '')(`without a network (needs ${missing || 'nothing more'})`, () => {
  let home: CustodiansHome
  let built: string
  beforeAll(async () => {
    home = await openCustodians(2)
    await run(process.execPath, [
      join(root, 'scripts/build-ceremony.ts'),
      '--out',
      home.path('dist'),
    ])
    built = home.path('dist/holdfast-ceremony.mjs')
  })
  afterAll(async () => await home.close())

  async function traced(
    args: readonly string[],
    { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
  ): Promise<Traced> {
    const log = home.path('trace')
    const strace = ['strace', '-f', '-e', 'trace=network', '-o', log, process.execPath, built]
    const child = spawn('unshare', ['-n', ...strace, ...args], {
      cwd: home.dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: home.dir, ...env },
    })
    const printed = { out: '', err: '' }
    child.stdout.on('data', (chunk: Buffer) => (printed.out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (printed.err += chunk.toString()))
    child.stdin.end(input)
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => /\w+\(/.test(line))
    // What Node asks of the three pipes that it was started with reaches nothing.
    const calls = lines.filter((line) => !/getsock(name|opt)\([012],/.test(line)).join('\n')
    return { ...printed, code, calls }
  }

  /** @returns what an operator types: the words of the plan */
  async function makeBundle(name: string, recovery: string): Promise<string> {
    const known = await recoveryKeys()
    const keys = { ...known, recovery: { ...known.recovery, did: recovery } }
    const accounts = await Promise.all(
      (['plain', 'renamed', 'legacy', 'no-recovery'] as const).map(
        async (kind, index) => await makeAccount(kind, index, keys),
      ),
    )
    const policies = await soloPolicies()
    const intent = await writeBundle(home.path(name), accounts, { keys, policies })
    await writeFile(home.path(`${name}.yaml`), cardOf(intent))
    const opened = await openBundle(home.path(name))
    return digestWords(intentDigest(opened.intent), 8).join(' ')
  }

  test('a key in shares signs a bundle, without one call to it', async () => {
    const order = ['--threshold', '2', '--custodians', home.custodians, '--out', 'key']
    const made = await home.run(['keygen', '--env', 'prod', ...order], { program: built })
    const did = /PDS_RECOVERY_DID_KEY=(\S+)/.exec(made.out)?.[1] ?? ''
    const words = await makeBundle('bundle', did)
    const trust = ['--trust', 'bundle.yaml']
    const inspected = await traced(['inspect', ...trust, 'bundle'])
    expect(inspected).toMatchObject({ code: 0, err: '', calls: '' })
    expect(inspected.out).toContain('3 get the new key in the place of the lost one')
    const shares = ['anna', 'ben'].flatMap((id) =>
      ['--share', home.share(id)].concat('--identity', home.identity(id)),
    )
    const key = ['--record', 'key/recovery-key.json', ...shares]
    const signed = await traced(['sign', ...trust, ...key, '--out', 'result', 'bundle'], {
      input: `${words}\n`,
    })
    expect(signed).toMatchObject({ code: 0, calls: '' })
    const verified = await traced(['verify', ...trust, 'bundle', 'result'])
    expect(verified).toMatchObject({ code: 0, err: '', calls: '' })
    // The sources on another machine come to the same.
    expect((await home.run(['verify', ...trust, 'bundle', 'result'])).out).toBe(verified.out)
  })

  test.skipIf(missingForPkcs11() !== null)(
    'a key on a token signs a bundle, with no socket but the pipes to the process of its module',
    async () => {
      const hsm = await openSoftHsm()
      try {
        const { PATH: _, ...env } = hsm.environment
        const made = await home.run(
          ['keygen', '--env', 'prod', '--token', hsm.tokenUri(hsm.module), '--out', 'token'],
          { program: built, env },
        )
        const did = /PDS_RECOVERY_DID_KEY=(\S+)/.exec(made.out)?.[1] ?? ''
        const words = await makeBundle('for-token', did)
        const trust = ['--trust', 'for-token.yaml']
        const key = ['--record', 'token/recovery-key.json', '--out', 'by-token']
        const signed = await traced(['sign', ...trust, ...key, 'for-token'], {
          input: `${words}\n`,
          env,
        })
        expect(signed.code).toBe(0)
        const reached = signed.calls.replaceAll(/connect\(\d+, .*sun_path="\/dev\/log".*$/gm, '')
        expect(reached).not.toMatch(/AF_(?!UNIX)|\bconnect\(|\bbind\(|\blisten\(/)
        const verified = await home.run(['verify', ...trust, 'for-token', 'by-token'])
        expect(verified).toMatchObject({ code: 0, err: '' })
        expect(verified.out).toContain('all 3 operations, each with its signature')
      } finally {
        await hsm.close()
      }
    },
  )
})
