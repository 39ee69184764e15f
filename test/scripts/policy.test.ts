import { appendFile, cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { policy } from '../../scripts/online/policy.ts'

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
