import { hash } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import type { Context } from '../../src/context.ts'
import { verifyEd25519 } from '../../src/ed25519/openssl.ts'
import { replaceFile } from '../../src/files/write-once.ts'
import { escapeText } from '../../src/plc/text.ts'
import { exportLog } from '../../src/sequencer/export-log.ts'
import { keptLogs } from '../../src/store/kept-logs.ts'
import { Refusal } from '../offline/command.ts'
import { folderAt } from './audit-export.ts'
import { print, printJson, UsageError, withContext } from './command.ts'
import type { Command } from './command.ts'

const usage =
  'backup DIR [--check] [--json]   what a recovery needs, without any secret; --check: whether a kit is whole'

const MANIFEST = 'manifest.json'
/** An export of the audit log, which judges itself; the others are named in the manifest. */
const AUDIT = 'audit'

const manifestSchema = z.strictObject({
  format: z.literal('holdfast/backup/v1'),
  made: z.iso.datetime(),
  identities: z.int().nonnegative(),
  entries: z.int().nonnegative(),
  files: z.record(
    z.string().regex(/^(?!.*\.\.)[A-Za-z0-9./-]+$/),
    z.strictObject({ bytes: z.int(), sha256: z.string() }),
  ),
})
type Manifest = z.infer<typeof manifestSchema>

/**
 * The recovery kit: everything that the day of a loss needs and that is no secret. Written over an older
 * one, only what has changed; the manifest comes last, so a run that was killed is made whole by the next.
 */
export const backup: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      check: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const [dir, extra] = positionals
  if (dir === undefined || extra !== undefined) throw new UsageError(usage)
  if (values.check) return await check(dir, values.json)
  return await withContext(async (context) => await write(context, dir, values.json))
}

async function write(context: Context, dir: string, json: boolean): Promise<number> {
  const { auditLog, policiesDir, witnesses } = context
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const held = await auditLog.held.read()
  const signer = held === null ? null : auditLog.signerFor(held.origin)
  if (signer === null) throw new Refusal('there is no held record, or no checkpoint key, of a log')
  const source = { key: signer.key, verify: verifyEd25519, progress: () => {} }
  const log = { ...auditLog.store, cosigned: witnesses.newest }
  const { size } = await exportLog(log, folderAt(join(dir, AUDIT)), source)
  const kit = createKit(dir)
  const identities = await writeIdentities(context, kit)
  for (const name of await readdir(policiesDir)) {
    if (!/^[a-z0-9-]+\.yaml$/.test(name)) continue
    await kit.put(`policies/${name}`, await readFile(join(policiesDir, name), 'utf8'))
  }
  await kit.put('keys.json', publicKeys(context))
  await kit.put('README.txt', README)
  await kit.end({ identities, entries: size })
  if (json) printJson({ identities, entries: size, written: kit.written() })
  else {
    print(
      `${identities} identities and ${size} entries are in the kit; ${kit.written()} files are new.`,
    )
    print('What it does not hold, and what must be kept apart from it, is in its README.txt.')
  }
  return 0
}

/** One file for all DIDs that begin alike, so that a day's work changes few of them. */
async function writeIdentities({ db }: Context, kit: Kit): Promise<number> {
  const dids: string[] = []
  let shard = ''
  let lines: string[] = []
  const flush = async (): Promise<void> => {
    if (lines.length > 0) await kit.put(`logs/${shard}.jsonl`, lines.join(''))
    lines = []
  }
  for await (const { did, log } of keptLogs(db)) {
    const start = did.slice('did:plc:'.length, 'did:plc:'.length + 2)
    if (start !== shard) await flush()
    shard = start
    lines.push(`${JSON.stringify(log)}\n`)
    dids.push(did)
  }
  await flush()
  await kit.put('accounts.txt', dids.map((did) => `${did}\n`).join(''))
  return dids.length
}

function publicKeys({ policies }: Context): string {
  const keys = policies.keys.map(({ id, class: kind, curve, did }) => ({
    id,
    class: kind,
    curve,
    did,
  }))
  return `${JSON.stringify({ policies: Buffer.from(policies.digest).toString('hex'), keys }, null, 2)}\n`
}

type Kit = ReturnType<typeof createKit>

function createKit(dir: string) {
  const files: Manifest['files'] = {}
  let written = 0
  return {
    written: () => written,
    put: async (path: string, content: string): Promise<void> => {
      const sha256 = hash('sha256', content, 'hex')
      files[path] = { bytes: Buffer.byteLength(content), sha256 }
      const file = join(dir, path)
      const old = await readFile(file).catch(() => null)
      if (old !== null && hash('sha256', old, 'hex') === sha256) return
      await mkdir(join(file, '..'), { recursive: true, mode: 0o700 })
      await replaceFile(file, content)
      written += 1
    },
    end: async (counts: Pick<Manifest, 'identities' | 'entries'>): Promise<void> => {
      for (const path of await filesIn(dir)) {
        if (files[path] === undefined) await rm(join(dir, path))
      }
      const made = new Date().toISOString()
      const manifest: Manifest = { format: 'holdfast/backup/v1', made, ...counts, files }
      await replaceFile(join(dir, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
    },
  }
}

/** Of the kit itself: not its manifest, and not the export, which nobody but the export writes. */
async function filesIn(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true })
  const found: string[] = []
  for (const name of names) {
    if (name === MANIFEST || name === AUDIT || name.startsWith(`${AUDIT}/`)) continue
    if ((await lstat(join(dir, name))).isFile()) found.push(name)
  }
  return found.sort()
}

async function check(dir: string, json: boolean): Promise<number> {
  const manifest = await readManifest(dir)
  const problems: string[] = []
  for (const [path, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const content = await readFile(join(dir, path)).catch(() => null)
    if (content === null) problems.push(`${path}: is missing`)
    else if (content.length !== bytes || hash('sha256', content, 'hex') !== sha256) {
      problems.push(`${path}: was changed`)
    }
  }
  for (const path of await filesIn(dir)) {
    if (manifest.files[path] === undefined) problems.push(`${path}: does not belong to the kit`)
  }
  if (json) printJson({ made: manifest.made, problems })
  else {
    for (const problem of problems) print(escapeText(problem))
    print(
      problems.length === 0
        ? `whole, made ${manifest.made}; judge the log in it: scripts/holdfast audit verify ${escapeText(join(dir, AUDIT))} --trust CARD`
        : `${problems.length} problems`,
    )
  }
  return problems.length === 0 ? 0 : 1
}

async function readManifest(dir: string): Promise<Manifest> {
  const file = join(dir, MANIFEST)
  const text = await readFile(file, 'utf8').catch(() => null)
  if (text === null)
    throw new Refusal(`${escapeText(file)}: is missing; the backup was not finished`)
  const parsed = manifestSchema.safeParse(jsonOf(text))
  if (parsed.success) return parsed.data
  throw new Refusal(`${escapeText(file)}: is no manifest of a backup`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const README = `What this is: all that a recovery needs of Holdfast and that is no secret.

  audit/         the audit log: audit verify judges it, audit restore takes entries back from it
  accounts.txt   the identities in care: recovery plan --from accounts.txt
  logs/          their PLC logs: enroll --logs takes them back (cat logs/*.jsonl). Operations that were
                 signed here have the time of their record, a moment before the directory's.
  policies/      the policy files
  keys.json      the public keys, and the digest of the policies

What is NOT in it, and is lost with its host unless you keep it elsewhere:

  the secret file and keys/     software keys are lost without both; keep the two apart from each other
  checkpoint.key                signs the audit log's checkpoints
  the held record (checkpoint/) what tells a restored backup from the real thing: never on the schedule or
                                the account of the database's backups
  the recovery key              its shares, token or file, and its record, with their custodians
  the trust card                with whoever judges the log or holds a ceremony
  the database                  pg_dump or pg_basebackup are its backup; audit restore brings the rest
  the PDS's own data            its account.sqlite names its accounts
`
