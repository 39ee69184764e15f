import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { runCeremony } from './run-command.ts'

export const names = ['anna', 'ben', 'cleo', 'dan', 'eva'] as const

/** A folder with an age identity for each custodian, and the list of them. Gone with `close`. */
export async function openCustodians(count: number) {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-custodians-'))
  const list = names.slice(0, count)
  const lines: string[] = []
  for (const id of list) {
    const identity = await generateX25519Identity()
    await writeFile(join(dir, `${id}.key`), `# ${id}\n${identity}\n`, { mode: 0o600 })
    lines.push(`  - { id: ${id}, recipient: ${await identityToRecipient(identity)} }\n`)
  }
  const custodians = join(dir, 'custodians.yaml')
  await writeFile(
    custodians,
    `custodians: holdfast/custodians/v1\nepoch: 3\nlist:\n${lines.join('')}`,
  )

  return {
    dir,
    names: list,
    custodians,
    path: (name: string) => join(dir, name),
    identity: (id: string) => join(dir, `${id}.key`),
    share: (id: string, folder = 'key') => join(dir, folder, `${id}.share.age`),
    /** The ceremony's command line, at home in this folder. */
    run: async (
      args: readonly string[],
      options: Omit<NonNullable<Parameters<typeof runCeremony>[1]>, 'cwd'> = {},
    ) =>
      await runCeremony(args, {
        ...options,
        cwd: dir,
        env: {
          HOME: dir,
          NODE_COMPILE_CACHE: join(tmpdir(), 'holdfast-compile-cache'),
          ...options.env,
        },
      }),
    close: async () => await rm(dir, { recursive: true, force: true }),
  }
}
export type CustodiansHome = Awaited<ReturnType<typeof openCustodians>>
