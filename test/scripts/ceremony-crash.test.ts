import { readdir, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openCustodians } from '../support/custodians.ts'
import type { CustodiansHome } from '../support/custodians.ts'

const preload = fileURLToPath(new URL('../support/die-at-write.mjs', import.meta.url))

let home: CustodiansHome
beforeAll(async () => {
  home = await openCustodians(2)
})
afterAll(async () => await home.close())

async function keygen(out: string, dieAt: number) {
  const order = ['--threshold', '2', '--custodians', home.custodians, '--out', out]
  return await home.run(['keygen', '--env', 'prod', ...order], {
    flags: ['--import', preload],
    env: { DIE_AT: String(dieAt) },
  })
}

test('killed at any of its writes, keygen leaves a whole key or nothing that looks like one', async () => {
  const undisturbed = await keygen('whole', 0)
  const writes = Number(/writes: (\d+)/.exec(undisturbed.err)?.[1])
  const files = (await readdir(home.path('whole'))).sort()
  expect(files).toHaveLength(4)
  // Each file is opened, written and synced; the folder is made and put in its place.
  expect(writes).toBe(3 * files.length + 2)
  for (let at = 1; at <= writes; at += 1) {
    const { code, out } = await keygen(`at-${at}`, at)
    expect({ code, out }).toEqual({ code: null, out: '' })
    const made = (await readdir(home.dir)).filter((name) => name.startsWith(`at-${at}`))
    const whole = made.filter((name) => name === `at-${at}`)
    expect(whole).toHaveLength(at === writes ? 1 : 0)
    expect(
      made.filter((name) => !whole.includes(name)).every((name) => name.endsWith('.new')),
    ).toBe(true)
  }
  // The last write puts the folder in its place: it is whole, although nobody was told.
  expect((await readdir(home.path(`at-${writes}`))).sort()).toEqual(files)
  const dealing = ['--dealing', `at-${writes}/dealing.json`]
  const shares = home.names.map((id) => home.share(id, `at-${writes}`))
  expect((await home.run(['check-shares', ...dealing, ...shares])).code).toBe(0)
  // What the others left is in nobody's way.
  await rm(home.path('whole'), { recursive: true })
  expect((await keygen('whole', 0)).code).toBe(0)
})
