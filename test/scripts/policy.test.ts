import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { policy } from '../../scripts/online/policy.ts'
import { curveOf } from '../../src/plc/did-key.ts'
import { decodeEntry } from '../../src/audit/decode.ts'
import { buildLog, extendLog, keyNamed } from '../plc/build-log.ts'
import { custodyLog } from '../support/custody-log.ts'
import { startHttpDirectory } from '../support/http-directory.ts'
import { beginning, logSigner, writeExport } from '../support/exported-log.ts'
import { renamed, tombstoneOf, updateOf } from '../support/operations.ts'

// What the commands about policies print; what they find is tested beside what finds it.

const examples = fileURLToPath(new URL('../../policies/examples', import.meta.url))
let dir: string
let printed: string

beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'holdfast-policy-')), 'set')
  await cp(join(examples, 'three-people'), dir, { recursive: true })
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  await rm(join(dir, '..'), { recursive: true })
})

test('policy check counts the cases that were answered as they must', async () => {
  expect(await policy(['check', dir])).toBe(0)
  expect(printed).toMatch(/^(\d+) of \1 cases in tests\/ answered as they must$/m)
})

test('policy check fails with a case that is answered otherwise, and names it', async () => {
  const lines = '\n  - case: wishful\n    op: policy\n    key: none\n    expect: allow\n'
  await appendFile(join(dir, 'tests', 'three-people.yaml'), lines)

  expect(await policy(['check', dir])).toBe(1)
  expect(printed).toContain(
    'FAILED tests/three-people.yaml: wishful: must be allow, and is require by CHANGE',
  )
  printed = ''
  expect(await policy(['check', dir, '--json'])).toBe(1)
  expect(JSON.parse(printed)).toMatchObject({
    sound: true,
    tests: { failures: [{ file: 'tests/three-people.yaml', case: 'wishful' }] },
  })
})

test('policy check says so where a set has no cases', async () => {
  await rm(join(dir, 'tests'), { recursive: true })
  expect(await policy(['check', dir])).toBe(0)
  expect(printed).toContain('no cases in tests/')
})

const shipped = fileURLToPath(new URL('../../policies/policy.yaml', import.meta.url))

/** A folder with the shipped policy, changed, for these keys. */
async function setOf(name: string, keys: readonly string[], change = (text: string) => text) {
  const folder = join(dir, '..', name)
  await mkdir(folder)
  const list = keys.map((did, n) => ({
    id: `key-${n}`,
    class: 'online',
    curve: curveOf(did),
    did,
    uri: `file:key-${n}`,
  }))
  const callers = ['pds', 'other'].map((caller) => ({
    name: caller,
    keys: list.map(({ id }) => id),
  }))
  await writeFile(join(folder, 'keys.yaml'), JSON.stringify({ keys: 'holdfast/keys/v1', list }))
  await writeFile(
    join(folder, 'callers.yaml'),
    JSON.stringify({ callers: 'holdfast/callers/v1', list: callers }),
  )
  await writeFile(join(folder, 'policy.yaml'), change(await readFile(shipped, 'utf8')))
  return folder
}

describe('policy explain', () => {
  const explained = async (operation: object, folder: string, ...more: string[]) => {
    const file = join(dir, 'op.json')
    await writeFile(file, JSON.stringify(operation))
    const named = ['--from-file', file, '--caller', 'pds', '--key', 'key-0']
    printed = ''
    return await policy(['explain', folder, ...named, ...more])
  }

  async function accountLog() {
    const [ours, user] = [await keyNamed('explained ours'), await keyNamed('explained user')]
    const log = await extendLog(await buildLog([user, ours], user), [{ by: ours, hours: 1 }])
    const file = join(dir, 'log.json')
    await writeFile(file, JSON.stringify(log))
    return { folder: await setOf('explain', [ours.did()]), head: log.at(-1)!, log, file }
  }

  test('says which rule allows it, and why the others do not speak of it', async () => {
    const { folder, head, file } = await accountLog()
    expect(await explained(renamed(head, 'new'), folder, '--log', file)).toBe(0)
    expect(printed).toContain('class: update\nchanges: alsoKnownAs\n')
    expect(printed).toContain('applies  ACCOUNT: allows this\n')
    expect(printed).toContain('      -  GENESIS: is not for update\n')
    expect(printed).toContain('\nallowed by ACCOUNT\n')
    expect(printed).toContain('assumed: the identity is in the care of pds; no limited rule')
  })

  test('names every rule that denies, those that always hold too', async () => {
    const { folder, head, log, file } = await accountLog()
    expect(await explained(tombstoneOf(head), folder, '--log', file)).toBe(1)
    expect(printed).toContain('denied: PLC-TOMBSTONE-FRESH (')
    expect(await explained(renamed(log[0]!, 'old'), folder, '--log', file)).toBe(1)
    expect(printed).toContain('PREV-IS-HEAD')
    expect(await explained(renamed(head, 'new'), folder)).toBe(1)
    expect(printed).toContain('PREV-KNOWN')
    expect(printed).toContain('give --log FILE or --did DID')
  })

  test('reads the log from the directory itself, and believes none that does not verify', async () => {
    const { folder, head, log } = await accountLog()
    const directory = await startHttpDirectory()
    vi.stubEnv('HOLDFAST_PLC_URL', directory.url)
    const { did } = head
    directory.logs.set(did, log)
    expect(await explained(renamed(head, 'new'), folder, '--did', did)).toBe(0)
    expect(printed).toContain('allowed by ACCOUNT')
    expect(directory.reads.map((read) => read.did)).toEqual([did])
    const forged = { ...head.operation, alsoKnownAs: ['at://somebody.else'] }
    directory.logs.set(did, [...log.slice(0, -1), { ...head, operation: forged }])
    await expect(explained(renamed(head, 'new'), folder, '--did', did)).rejects.toThrow(/CID/)
    await directory.stop()
  })

  test('says whose agreement is needed, and what is missing', async () => {
    const { head, file, log } = await accountLog()
    const own = await readFile(join(dir, 'keys.yaml'), 'utf8')
    const ours = (await keyNamed('explained ours')).did()
    await writeFile(join(dir, 'keys.yaml'), own.replace(/did:key:zQ3sh\w+/, ours))
    const operation = updateOf(head, { services: {} })
    await writeFile(join(dir, 'op.json'), JSON.stringify(operation))
    const named = ['--from-file', join(dir, 'op.json'), '--caller', 'emergency', '--key', 'pds']
    expect(await policy(['explain', dir, ...named, '--log', file, '--json'])).toBe(0)
    expect(JSON.parse(printed)).toMatchObject({
      class: 'update',
      decision: { kind: 'require', rules: ['BREAK-GLASS'] },
      requirements: [
        { missing: ['2 more of two: alice, bob, carol', '2 more from the command line'] },
      ],
    })
    expect(log).toHaveLength(2)
  })

  test('refuses a log that does not verify, a file that is no operation, a key that is not there', async () => {
    const { folder, head, log, file } = await accountLog()
    await writeFile(file, JSON.stringify([{ ...log[0]!, nullified: true }, ...log.slice(1)]))
    await expect(explained(renamed(head, 'new'), folder, '--log', file)).rejects.toThrow('--log: ')
    await expect(explained({ type: 'no' }, folder)).rejects.toThrow('--from-file: ')
    await expect(explained(renamed(head, 'new'), folder, '--key', 'nothing')).rejects.toThrow(
      '--key: ',
    )
  })
})

test('policy diff --replay says which recorded operations a new set answers otherwise', async () => {
  const entries = await custodyLog()
  const judged = entries.flatMap((body) => {
    const { entry } = decodeEntry(body)
    return entry.kind === 'request.proposed' || entry.kind === 'request.denied' ? [entry] : []
  })
  const keys = [...new Set(judged.map(({ keyDid }) => keyDid))]
  const signer = logSigner()
  const folder = await writeExport(
    [beginning(signer, decodeEntry(entries[0]!).at), ...entries],
    signer,
  )
  const old = await setOf('old', keys)
  const stricter = await setOf('new', keys, (text) => text.replace('        - alsoKnownAs\n', ''))
  const renames = new Set(
    judged
      .filter(
        ({ changes, kind }) => changes.join() === 'alsoKnownAs' && kind === 'request.proposed',
      )
      .map(({ request }) => request),
  ).size

  printed = ''
  expect(await policy(['diff', old, stricter, '--replay', folder])).toBe(0)
  expect(renames).toBeGreaterThan(0)
  expect(printed).toContain(`${renames} × update (alsoKnownAs) by pds: allowed → denied (request `)
  expect(printed).toContain('would not pass any more')
  printed = ''
  await policy(['diff', stricter, old, '--replay', folder, '--json'])
  expect(JSON.parse(printed)).toMatchObject({
    replayed: { changed: [{ direction: 'looser', count: renames }] },
  })
  printed = ''
  await policy(['diff', old, old, '--replay', folder])
  expect(printed).toContain(' recorded operations judged under both sets, 0 of them otherwise')
  await expect(policy(['diff', old, old, '--replay', old])).rejects.toThrow('no file "checkpoint"')
  await rm(folder, { recursive: true })
})
