import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const root = dirname(dirname(import.meta.dirname))
const run = promisify(execFile)

let clone = ''
let log = ''

// A clone with our scripts, nothing to install, and an npm that says when it is at work.
beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'holdfast-setup-'))
  log = join(clone, 'npm.log')
  await mkdir(join(clone, 'scripts/runtime'), { recursive: true })
  await mkdir(join(clone, 'bin'))
  for (const name of ['setup.mjs', 'setup-lock.mjs', 'holdfast', 'holdfast.ts']) {
    await cp(join(root, 'scripts', name), join(clone, 'scripts', name))
  }
  await writeFile(join(clone, 'package-lock.json'), '{}')
  await pretendNpm('rm -rf node_modules && sleep 0.5 && mkdir node_modules')
})

afterEach(async () => {
  await rm(clone, { recursive: true, force: true })
})

async function pretendNpm(work: string): Promise<void> {
  const npm = join(clone, 'bin/npm')
  await writeFile(npm, `#!/bin/sh\necho begin >>"${log}"\n${work}\necho end >>"${log}"\n`)
  await chmod(npm, 0o755)
}

function setUp(path = `${join(clone, 'bin')}:/usr/bin:/bin`): ChildProcess {
  const setup = JSON.stringify(join(clone, 'scripts/setup.mjs'))
  const program = `const { prepare } = await import(${setup}); await prepare()`
  const args = ['--input-type=module', '--eval', program]
  return spawn(process.execPath, args, { cwd: clone, env: { PATH: path }, stdio: 'ignore' })
}

async function ended(child: ChildProcess): Promise<number> {
  const [code] = await once(child, 'exit')
  return code
}

async function npmRuns(): Promise<string[]> {
  return (await readFile(log, 'utf8').catch(() => '')).trim().split('\n')
}

describe('set-up', () => {
  test('installs once and then starts no process', async () => {
    expect(await ended(setUp())).toBe(0)
    expect(await ended(setUp('/nonexistent'))).toBe(0)
    expect(await npmRuns()).toEqual(['begin', 'end'])
  })

  test('installs again when the lockfile changed', async () => {
    await ended(setUp())
    await writeFile(join(clone, 'package-lock.json'), '{ }')
    await ended(setUp())
    expect(await npmRuns()).toEqual(['begin', 'end', 'begin', 'end'])
  })

  test('two first starts at once install once', async () => {
    const codes = await Promise.all([setUp(), setUp(), setUp()].map(ended))
    expect(codes).toEqual([0, 0, 0])
    expect(await npmRuns()).toEqual(['begin', 'end'])
  })

  test('a killed set-up is repaired by the next, which waits for the npm that lives on', async () => {
    const killed = setUp()
    while ((await npmRuns())[0] !== 'begin') await sleep(20)
    await sleep(100)
    killed.kill('SIGKILL')
    await ended(killed)
    expect(await ended(setUp())).toBe(0)
    expect(await npmRuns()).toEqual(['begin', 'end', 'begin', 'end'])
  })

  test('a failed install is not taken for a whole one', async () => {
    await pretendNpm('mkdir -p node_modules; exit 1')
    expect(await ended(setUp())).not.toBe(0)
    await pretendNpm('mkdir -p node_modules')
    expect(await ended(setUp())).toBe(0)
  })
})

describe('scripts/holdfast', () => {
  const environment = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }

  test('runs from any folder and through a link', async () => {
    const link = join(clone, 'linked')
    await symlink(join(root, 'scripts/holdfast'), link)
    const { stdout } = await run(link, ['--help'], { cwd: tmpdir(), env: environment })
    expect(stdout).toContain('Usage: scripts/holdfast')
  })

  test('hands its exit code on', async () => {
    const refused = run(join(root, 'scripts/holdfast'), ['no-such-command'], { env: environment })
    await expect(refused).rejects.toMatchObject({ code: 2 })
  })

  test('says what to do on a clone that is not set up', async () => {
    const refused = run(join(clone, 'scripts/holdfast'), ['--help'], { env: environment })
    await expect(refused).rejects.toMatchObject({
      code: 3,
      stderr: expect.stringContaining(`run "npm start" in ${clone} once`),
    })
  })
})
