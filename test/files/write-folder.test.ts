import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeFolder } from '../../src/files/write-folder.ts'
import { writeOnce } from '../../src/files/write-once.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-folder-'))
})
afterEach(async () => await rm(dir, { recursive: true }))

test('makes a folder with its files, which nobody is to change', async () => {
  expect(await writeFolder(join(dir, 'a'), { 'x.txt': 'text', y: Uint8Array.of(1, 2) })).toBe(true)
  expect(await readFile(join(dir, 'a/x.txt'), 'utf8')).toBe('text')
  expect(await readFile(join(dir, 'a/y'))).toEqual(Buffer.of(1, 2))
  expect((await stat(join(dir, 'a'))).mode & 0o777).toBe(0o700)
  expect((await stat(join(dir, 'a/y'))).mode & 0o777).toBe(0o400)
  expect(await readdir(dir)).toEqual(['a'])
})

test('leaves a folder that is there, even an empty one, and a file', async () => {
  await mkdir(join(dir, 'full'))
  await writeFile(join(dir, 'full/mine'), '')
  await mkdir(join(dir, 'empty'))
  await writeFile(join(dir, 'file'), 'mine')
  for (const name of ['full', 'empty', 'file']) {
    expect(await writeFolder(join(dir, name), { x: '' })).toBe(false)
  }
  expect((await readdir(dir)).sort()).toEqual(['empty', 'file', 'full'])
  expect(await readdir(join(dir, 'full'))).toEqual(['mine'])
  expect(await readdir(join(dir, 'empty'))).toEqual([])
})

test('takes a name with a slash behind it', async () => {
  expect(await writeFolder(`${join(dir, 'a')}/`, { x: '' })).toBe(true)
  expect(await readdir(dir)).toEqual(['a'])
})

test('fails as a whole when one file cannot be written', async () => {
  await expect(writeFolder(join(dir, 'a'), { x: '', 'no/such/folder': '' })).rejects.toThrow(
    'ENOENT',
  )
  expect(await readdir(dir)).not.toContain('a')
})

test('a file that is written once may be for reading only', async () => {
  await chmod(dir, 0o700)
  expect(await writeOnce(join(dir, 'x'), 'text', 0o400)).toBe(true)
  expect((await stat(join(dir, 'x'))).mode & 0o777).toBe(0o400)
})
