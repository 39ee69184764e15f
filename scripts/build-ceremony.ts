import { hash } from 'node:crypto'
import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import type { BuildOptions, Plugin } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Sources that start another program by its file, and what that program is called when it is built. */
const children = {
  'src/signer/pkcs11/admin-child.ts': 'holdfast-ceremony-token-admin.mjs',
  'src/signer/pkcs11/child.ts': 'holdfast-ceremony-token.mjs',
} as const

/**
 * What a token needs beside the one file: its module's process, and the binding, which is machine code
 * and cannot stand in it. Keys in software need neither.
 */
const BINDING = ['package.json', 'index.js', 'LICENSE', 'build/Release/pkcs11.node'] as const

/** CommonJS among the packages asks for builtins with `require`, which a module does not have. */
const BANNER = `#!/usr/bin/env node
import { createRequire as createRequireOfBundle } from 'node:module'
const require = createRequireOfBundle(import.meta.url)
`

/**
 * The offline command line in one file, for a machine that gets nothing else: the same sources and
 * lockfile give the same bytes, whoever builds and wherever.
 */
async function buildCeremony(out: string): Promise<void> {
  await mkdir(out, { recursive: true })
  const main = await bundle('scripts/ceremony.ts')
  await put(join(out, 'holdfast-ceremony.mjs'), main, 0o755)
  const digests: (readonly [string, Uint8Array])[] = [['holdfast-ceremony.mjs', main]]
  for (const [source, name] of Object.entries(children)) {
    const text = await bundle(source)
    await put(join(out, name), text, 0o644)
    digests.push([name, text])
  }
  digests.push(...(await copyBinding(out)))
  const lines = digests.map(([name, bytes]) => `${hash('sha256', bytes, 'hex')}  ${name}\n`)
  await writeFile(join(out, 'holdfast-ceremony.sha256'), lines.join(''))
  process.stdout.write(lines.join(''))
}

async function bundle(entry: string): Promise<Uint8Array> {
  const options = {
    absWorkingDir: root,
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    legalComments: 'inline',
    // Drops what the build decides: machine code that is looked for beside the file.
    minifySyntax: true,
    banner: { js: BANNER },
    define: { HOLDFAST_BUILT: 'true' },
    plugins: [builtChildren],
    logLevel: 'error',
  } satisfies BuildOptions
  const { outputFiles } = await build(options)
  const [file] = outputFiles
  if (file === undefined) throw new Error(`${entry}: nothing was built`)
  return file.contents
}

/** `new URL('admin-child.ts', import.meta.url)` becomes the file that is built of it. */
const builtChildren: Plugin = {
  name: 'built-children',
  setup: (pluginBuild) => {
    pluginBuild.onLoad({ filter: /\/src\/signer\/pkcs11\/[^/]+\.ts$/ }, async ({ path }) => {
      let contents = await readFile(path, 'utf8')
      for (const [source, name] of Object.entries(children)) {
        if (dirname(source) !== relative(root, dirname(path))) continue
        const file = source.slice(source.lastIndexOf('/') + 1)
        contents = contents.replace(`new URL('${file}',`, `new URL('${name}',`)
      }
      return { contents, loader: 'ts' }
    })
  },
}

/** Empty where the optional binding was not built: then tokens are not for this machine. */
async function copyBinding(out: string): Promise<(readonly [string, Uint8Array])[]> {
  const folder = 'node_modules/pkcs11js'
  await rm(join(out, folder), { recursive: true, force: true })
  const from = bindingFolder()
  if (from === null) {
    process.stderr.write('pkcs11js is not built here: the file that is built now knows no tokens\n')
    return []
  }
  const copied: (readonly [string, Uint8Array])[] = []
  for (const name of BINDING) {
    const to = join(out, folder, name)
    await mkdir(dirname(to), { recursive: true })
    await cp(join(from, name), to)
    copied.push([`${folder}/${name}`, await readFile(to)])
  }
  return copied
}

function bindingFolder(): string | null {
  try {
    const { resolve } = createRequire(import.meta.url)
    resolve('pkcs11js/build/Release/pkcs11.node')
    return dirname(resolve('pkcs11js/package.json'))
  } catch {
    return null
  }
}

async function put(path: string, content: Uint8Array, mode: number): Promise<void> {
  await rm(path, { force: true })
  await writeFile(path, content)
  await chmod(path, mode)
}

const { values } = parseArgs({
  options: { out: { type: 'string', default: join(root, 'dist') } },
})
await buildCeremony(values.out)
