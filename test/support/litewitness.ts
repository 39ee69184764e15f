import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'

const program = fileURLToPath(new URL('./litewitness/bin/litewitness', import.meta.url))

/** What the tests with a witness cannot do without and this machine lacks; null when all is there. */
export function missingForWitness(): string | null {
  if (!existsSync(program)) return 'litewitness'
  return spawnSync('sh', ['-c', 'command -v ssh-agent']).status === 0 ? null : 'ssh-agent'
}

/** A witness of C2SP's tlog-witness that is not ours, with a key in an agent of its own. */
export type LiteWitness = {
  readonly url: string
  /** Its verifier key. */
  readonly vkey: string
  /** From now on it knows a log, and whose checkpoints it believes. */
  readonly trust: (origin: string, vkey: string) => void
  /** What it has cosigned last. */
  readonly seen: (origin: string) => number
  /** Somebody puts another history before it. */
  readonly forge: (origin: string, root: Uint8Array) => void
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
  readonly remove: () => Promise<void>
}

export async function openLiteWitness(name = 'witness.test/one'): Promise<LiteWitness> {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-witness-'))
  const [agent, key, db] = ['a', 'key', 'db'].map((file) => join(dir, file)) as [
    string,
    string,
    string,
  ]
  run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const holder = spawn('ssh-agent', ['-D', '-a', agent], { stdio: 'ignore' })
  await until(() => existsSync(agent))
  run('ssh-add', ['-q', key], { SSH_AUTH_SOCK: agent })
  const fingerprint = run('ssh-keygen', ['-l', '-f', `${key}.pub`]).split(' ')[1] ?? ''
  const port = await freePort()
  const flags = ['-db', db, '-name', name, '-ssh-agent', agent, '-key', fingerprint]
  let child: ChildProcess
  let vkey = ''

  async function start(): Promise<void> {
    child = spawn(program, [...flags, '-listen', `127.0.0.1:${port}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr?.on('data', (chunk: Buffer) => (said += String(chunk)))
    await until(() => said.includes('msg=listening') || child.exitCode !== null)
    const shown = /vkey=(\S+)/.exec(said)?.[1]?.replaceAll('"', '')
    if (shown === undefined) throw new Error(`the witness did not start: ${said}`)
    vkey = shown
    // It says so before it does.
    await sleep(50)
  }

  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGINT')
    await once(child, 'exit')
  }

  function inDatabase<T>(work: (opened: DatabaseSync) => T): T {
    const opened = new DatabaseSync(db)
    try {
      return work(opened)
    } finally {
      opened.close()
    }
  }

  await start()
  return {
    url: `http://127.0.0.1:${port}`,
    vkey,
    // As its own `witnessctl` does it, which cannot be built without modules that are not to be had everywhere.
    trust: (origin, logVkey) => {
      const empty = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
      inDatabase((opened) => {
        opened.prepare('insert or ignore into log values (?, 0, ?)').run(origin, empty)
        opened.prepare('insert into key values (?, ?)').run(origin, logVkey)
      })
    },
    seen: (origin) =>
      inDatabase((opened) => {
        const row = opened.prepare('select tree_size from log where origin = ?').get(origin)
        return Number(row?.['tree_size'])
      }),
    forge: (origin, root) =>
      inDatabase((opened) => {
        const encoded = Buffer.from(root).toString('base64')
        opened.prepare('update log set tree_hash = ? where origin = ?').run(encoded, origin)
      }),
    stop,
    start,
    remove: async () => {
      await stop()
      holder.kill()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function run(command: string, args: string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = spawnSync(command, args, {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
  return stdout
}

async function until(holds: () => boolean): Promise<void> {
  for (let look = 0; look < 400 && !holds(); look += 1) await sleep(25)
}
