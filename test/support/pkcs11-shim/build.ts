import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { access, mkdir, readFile, rename } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const source = new URL('shim.c', import.meta.url)

/**
 * The fault-injecting PKCS#11 module, compiled once for each version of its source.
 * @returns the path to give as `module-path`
 */
export async function buildShim(): Promise<string> {
  const version = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
  const dir = join(tmpdir(), 'holdfast-pkcs11-shim')
  const path = join(dir, `${version.slice(0, 16)}.so`)
  if (await exists(path)) return path
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const fresh = `${path}.${randomBytes(6).toString('hex')}`
  const flags = ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror']
  await run('gcc', [...flags, '-o', fresh, source.pathname, '-ldl', '-lpthread'])
  // Whole or not at all: several test files build it at the same time.
  await rename(fresh, path)
  return path
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
