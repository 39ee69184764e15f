import { exec, execFile, spawnSync } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Dealing } from '../../src/ceremony/dealing.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { dids, genesis, verdictOn } from '../policy/cases.ts'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'

// A recovery key in shares, as operators and custodians make, check and split it anew.

const hasAge = spawnSync('age', ['--version']).status === 0
const run = promisify(execFile)
const program = fileURLToPath(new URL('../../scripts/ceremony.ts', import.meta.url))

let home: CustodiansHome
let printed: string
beforeAll(async () => {
  home = await openCustodians(5)
  printed = await keygen('key')
})
afterAll(async () => await home.close())

async function keygen(out: string, env = 'prod'): Promise<string> {
  const order = ['--threshold', '3', '--custodians', home.custodians, '--out', out]
  const ran = await home.run(['keygen', '--env', env, ...order])
  expect(ran).toMatchObject({ code: 0, err: '' })
  return ran.out
}

const dealingOf = async (folder: string) =>
  JSON.parse(await readFile(home.path(`${folder}/dealing.json`), 'utf8')) as Dealing

const didOf = (text: string) => /PDS_RECOVERY_DID_KEY=(\S+)/.exec(text)?.[1] ?? ''

/** Splits again from these shares, with the transcript. The way to put the key together, and see which. */
async function resplit(out: string, of: readonly string[], folder = 'key') {
  const sources = of.flatMap((id) => [
    '--share',
    home.share(id, folder),
    '--identity',
    home.identity(id),
  ])
  const record = ['--record', home.path(`${folder}/recovery-key.json`)]
  const dealing = ['--dealing', home.path(`${folder}/dealing.json`)]
  const order = ['--threshold', '2', '--custodians', home.custodians, '--out', out]
  return await home.run(['split', '--env', 'prod', ...record, ...order, ...sources, ...dealing])
}

async function check(folder: string, ...args: string[]) {
  const dealing = ['--dealing', home.path(`${folder}/dealing.json`)]
  const ran = await home.run(['check-shares', '--json', ...dealing, ...args])
  const shares = ran.out === '' ? [] : (JSON.parse(ran.out) as { shares: unknown[] }).shares
  return { ...ran, shares }
}

describe('keygen --threshold 3 --custodians FILE', () => {
  test('prints what the PDS and keys.yaml need, and the same key in both', () => {
    const did = didOf(printed)
    expect(did).toMatch(/^did:key:zQ3sh/)
    expect(printed).toContain(
      `\n  - { id: recovery, class: recovery, curve: K-256, did: "${did}" }\n`,
    )
  })

  test('leaves a sealed share for each custodian and two public records, none to be changed', async () => {
    const files = await readdir(home.path('key'))
    const shares = home.names.map((id) => `${id}.share.age`)
    expect(files.sort()).toEqual([...shares, 'dealing.json', 'recovery-key.json'].sort())
    expect((await stat(home.path('key'))).mode & 0o777).toBe(0o700)
    for (const file of files) {
      expect((await stat(home.path(`key/${file}`))).mode & 0o777).toBe(0o400)
    }
  })

  test('lists in the transcript who has which share, signed by the key itself', async () => {
    const dealing = await dealingOf('key')
    expect(dealing).toMatchObject({ env: 'prod', did: didOf(printed), threshold: 3, epoch: 3 })
    expect(dealing.shares.map(({ custodian }) => custodian)).toEqual(home.names)
  })

  test('never writes over anything', async () => {
    const order = ['--threshold', '3', '--custodians', home.custodians, '--out', 'key']
    const { code, err, out } = await home.run(['keygen', '--env', 'prod', ...order])
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain('key: is there already; nothing was written')
    expect((await check('key', home.share('anna'))).code).toBe(0)
  })

  test('marks a rehearsal key, so that nobody puts it in force', async () => {
    const out = await keygen('rehearsal-key', 'rehearsal')
    expect(out).toContain('REHEARSAL')
    expect(out).toContain('development: true')
    const { code, err } = await check('rehearsal-key', home.share('anna', 'rehearsal-key'))
    expect({ code, err }).toMatchObject({ code: 1 })
    expect(err).toContain('is of a key for rehearsal; this is prod')
  })

  test.each([
    ['no environment', ['--threshold', '2', '--custodians', 'custodians.yaml']],
    [
      'two ways at once',
      ['--env', 'prod', '--passphrase', '--threshold', '2', '--custodians', 'c'],
    ],
    ['no way at all', ['--env', 'prod']],
    ['a threshold of one', ['--env', 'prod', '--threshold', '1', '--custodians', 'c']],
    ['a threshold without custodians', ['--env', 'prod', '--threshold', '2']],
    ['an unknown flag', ['--env', 'prod', '--force']],
  ])('refuses %s: exit 2, nothing written', async (_what, args) => {
    const { code, out } = await home.run(['keygen', '--out', 'none', ...args])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(await readdir(home.dir)).not.toContain('none')
  })

  test('refuses more shares than custodians', async () => {
    const order = ['--threshold', '6', '--custodians', home.custodians, '--out', 'none']
    const { code, err } = await home.run(['keygen', '--env', 'prod', ...order])
    expect({ code, err }).toEqual({
      code: 1,
      err: '6 of 5 shares: there are not so many custodians\n',
    })
  })
})

test('once its line is in keys.yaml, the service wants the key in every new account, above its own', async () => {
  const recovery = didOf(printed)
  const line = /^ {2}- \{ id: recovery.*$/m.exec(printed)?.[0] ?? ''
  const online = `  - { id: pds, class: online, curve: K-256, did: "${dids.online}", uri: "file:pds" }`
  const policies = parsePolicySet({
    keys: `keys: holdfast/keys/v1\nlist:\n${online}\n${line}\n`,
    callers: 'callers: holdfast/callers/v1\nlist:\n  - { name: alpha, keys: [pds] }\n',
    policy: await readFile(new URL('../../policies/policy.yaml', import.meta.url), 'utf8'),
  })
  const judge = (...rotationKeys: string[]) =>
    verdictOn({ subject: genesis({ rotationKeys }), policies })
  expect(judge(recovery, dids.online)).toBe('allow GENESIS')
  expect(judge(dids.online)).toBe('deny PLC-GENESIS-RECOVERY')
  expect(judge(dids.recovery, dids.online)).toBe('deny PLC-GENESIS-RECOVERY')
  expect(judge(dids.online, recovery)).toBe('deny PLC-ROTATION-RECOVERY-ABOVE')
})

describe('check-shares', () => {
  test('opens each share with its own identity, alone', async () => {
    for (const id of home.names) {
      const { code, shares } = await check('key', '--identity', home.identity(id), home.share(id))
      expect(code).toBe(0)
      expect(shares).toMatchObject([{ custodian: id, state: 'opened', error: null }])
    }
  })

  test('says without an identity that the files are those that were dealt', async () => {
    const { code, shares } = await check('key', ...home.names.map((id) => home.share(id)))
    expect(code).toBe(0)
    expect(shares).toMatchObject(home.names.map((custodian) => ({ custodian, state: 'intact' })))
  })

  test('SHARE_DECRYPT, another identity: names the custodian whose share it is', async () => {
    const ran = await check('key', '--identity', home.identity('ben'), home.share('anna'))
    expect(ran.code).toBe(1)
    expect(ran.shares).toMatchObject([{ custodian: 'anna', state: 'refused' }])
    expect(ran.out).toContain('SHARE_DECRYPT: the share of anna')
    expect(ran.out).toContain('another identity')
  })

  test('SHARE_DECRYPT, damaged: one bit in any part of a sealed share', async () => {
    const sealed = await readFile(home.share('cleo'))
    const places = [3, 40, 80, sealed.indexOf('---') + 8, sealed.length - 100, sealed.length - 1]
    const files: string[] = []
    for (const at of places) {
      const changed = Buffer.from(sealed)
      changed[at]! ^= 1
      await writeFile(home.path(`changed-${at}`), changed)
      files.push(home.path(`changed-${at}`))
    }
    const opened = await check('key', '--identity', home.identity('cleo'), ...files)
    const unopened = await check('key', ...files)
    expect([opened.code, unopened.code]).toEqual([1, 1])
    for (const { shares } of [opened, unopened]) {
      for (const [index, share] of shares.entries()) {
        expect(share).toMatchObject({
          state: 'refused',
          error: expect.stringMatching(
            new RegExp(`^SHARE_(DECRYPT|CORRUPT): the share .*changed-${places[index]}: `),
          ) as unknown,
        })
      }
    }
  })

  test('SHARE_MIXED_SET: the share of another dealing', async () => {
    await keygen('second')
    const ran = await check('key', '--identity', home.identity('dan'), home.share('dan', 'second'))
    expect(ran.code).toBe(1)
    expect(ran.out).toContain('SHARE_MIXED_SET: the share of dan')
  })

  test('refuses a transcript that was changed, in any part of it', async () => {
    const dealing = await readFile(home.path('key/dealing.json'), 'utf8')
    await mkdir(home.path('forged'), { recursive: true })
    for (const [from, to, why] of [
      ['"threshold": 3', '"threshold": 2', 'or was changed since'],
      ['"env": "prod"', '"env": "rehearsal"', 'or was changed since'],
      ['"custodian": "eva"', '"custodian": "eve"', 'or was changed since'],
      ['"retires": []', '"retires": [],\n  "note": 1', 'Unrecognized key'],
      ['{\n', '{ \n', 'was changed'],
    ] as const) {
      expect(dealing).toContain(from)
      await writeFile(home.path('forged/dealing.json'), dealing.replace(from, to))
      const { code, err } = await check('forged', home.share('anna'))
      expect(code).toBe(1)
      expect(err).toContain('forged/dealing.json')
      expect(err).toContain(why)
    }
  })

  test('refuses a transcript of another key than the one that is asked for', async () => {
    const did = didOf(printed)
    expect((await check('key', '--did', did, home.share('anna'))).code).toBe(0)
    await keygen('third')
    const { code, err } = await check('third', '--did', did, home.share('anna', 'third'))
    expect(code).toBe(1)
    expect(err).toContain(`but ${did} is asked for`)
  })
})

describe('split --share …', () => {
  test('any three bring the key back, and the new shares retire the old', async () => {
    const ran = await resplit('again', ['eva', 'anna', 'cleo'])
    expect(ran).toMatchObject({ code: 0 })
    expect(didOf(ran.out)).toBe(didOf(printed))
    const [old, dealing] = [await dealingOf('key'), await dealingOf('again')]
    expect(dealing.retires).toEqual([old.set])
    const stale = await check('again', '--identity', home.identity('dan'), home.share('dan'))
    expect(stale.code).toBe(1)
    expect(stale.out).toContain('SHARE_RETIRED: the share of dan')
    const fresh = await check(
      'again',
      '--identity',
      home.identity('dan'),
      home.share('dan', 'again'),
    )
    expect(fresh.code).toBe(0)
  })

  test('two are not enough, and it says so: nothing is written', async () => {
    const ran = await resplit('none', ['eva', 'anna'])
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toContain(
      'SHARE_BELOW_THRESHOLD: have 2 shares, need 3; still to come: ben, cleo, dan',
    )
    expect(await readdir(home.dir)).not.toContain('none')
  })
})

describe.skipIf(!hasAge)(
  `age, the program of its author (${hasAge ? 'there' : 'not installed'})`,
  () => {
    test('opens a share that was sealed here; what it opened is checked as well', async () => {
      const opened = await run(
        'age',
        ['--decrypt', '-i', home.identity('ben'), home.share('ben')],
        { encoding: 'buffer' },
      )
      await writeFile(home.path('opened'), opened.stdout)
      // Without a file in between: what a custodian's own tools opened need not lie on a disk.
      const piped = await promisify(exec)(
        `age --decrypt -i ben.key key/ben.share.age | '${process.execPath}' '${program}' ` +
          'check-shares --json --dealing key/dealing.json /dev/stdin',
        { cwd: home.dir },
      )
      expect(piped.stdout).toContain('"custodian":"ben","x":')
      const { code, shares } = await check(
        'key',
        '--identity',
        home.identity('anna'),
        home.path('opened'),
      )
      expect(code).toBe(0)
      expect(shares).toMatchObject([{ custodian: 'ben', state: 'opened' }])
    })

    test('makes the identities and seals what is opened here', async () => {
      const { stderr } = await run('age-keygen', ['-o', home.path('theirs.key')])
      const recipient = /age1\w+/.exec(stderr)?.[0] ?? ''
      await copyFile(home.path('opened'), home.path('plain'))
      await run('age', ['-r', recipient, '-o', home.path('resealed'), home.path('plain')])
      const { shares } = await check(
        'key',
        '--identity',
        home.path('theirs.key'),
        home.path('resealed'),
      )
      expect(shares).toMatchObject([{ custodian: 'ben', state: 'opened' }])
    })
  },
)
