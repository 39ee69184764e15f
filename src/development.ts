import { randomBytes } from 'node:crypto'
import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseDocument } from 'yaml'
import type { Config } from './config.ts'
import { keysDir } from './data-dir.ts'
import { replaceFile } from './files/write-once.ts'
import { loadPolicySet, policyFileNames } from './policy-files.ts'
import type { PolicySet } from './policy/policy-set.ts'
import type { Sealer } from './sealing/sealer.ts'
import { createFileKey, readFileKeyDid } from './signer/file.ts'

/** What the first `npm start` makes; never used in `env: prod`. */
export const developmentKey = 'pds'
export const developmentCaller = 'pds'

const shippedPolicies = fileURLToPath(new URL('../policies', import.meta.url))

/**
 * The policy set in force: the operator's folder, or the one in the data directory, which the first
 * start makes from the shipped policies with a development key and caller added. A start that dies
 * half-way leaves a key that the next one finds, and no half-written folder.
 */
export async function openPolicies(
  config: Config,
  sealer: Sealer,
): Promise<{ dir: string; policies: PolicySet }> {
  if (config.policiesDir !== null) {
    return { dir: config.policiesDir, policies: await loadPolicySet(config.policiesDir) }
  }
  const dir = join(config.dataDir, 'policies')
  if (!(await exists(dir))) await makeDevelopmentPolicies(config, sealer, dir)
  return { dir, policies: await loadPolicySet(dir) }
}

async function makeDevelopmentPolicies(config: Config, sealer: Sealer, dir: string): Promise<void> {
  const did = await developmentDid(config, sealer)
  const temporary = `${dir}.${randomBytes(6).toString('hex')}.new`
  await mkdir(temporary, { mode: 0o700 })
  for (const name of policyFileNames) {
    const shipped = await readFile(join(shippedPolicies, name), 'utf8')
    await writeFile(join(temporary, name), withDevelopmentEntries(name, shipped, did), {
      mode: 0o600,
    })
  }
  await cp(join(shippedPolicies, 'tests'), join(temporary, 'tests'), { recursive: true })
  try {
    await rename(temporary, dir)
  } catch (error) {
    // Another first start was quicker; its folder names the same key.
    await rm(temporary, { recursive: true })
    if (!(await exists(dir))) throw error
  }
}

async function developmentDid(config: Config, sealer: Sealer): Promise<string> {
  const files = { dir: keysDir(config), sealer }
  return (
    (await createFileKey(files, developmentKey, 'K-256')) ??
    (await readFileKeyDid(files, developmentKey))
  )
}

function withDevelopmentEntries(name: string, shipped: string, did: string): string {
  switch (name) {
    case 'keys.yaml':
      return withItem(shipped, {
        id: developmentKey,
        class: 'online',
        curve: 'K-256',
        did,
        uri: `file:${developmentKey}`,
        development: true,
      })
    case 'callers.yaml':
      return withItem(shipped, { name: developmentCaller, keys: [developmentKey] })
    default:
      return shipped
  }
}

/** Adds an item to the file's `list` and keeps its comments. */
export function withItem(text: string, item: object): string {
  const document = parseDocument(text)
  const list = document.get('list')
  document.set(
    'list',
    document.createNode([...((list as { toJSON(): unknown[] } | null)?.toJSON() ?? []), item]),
  )
  return document.toString()
}

/** Adds fields to the item with this id, and keeps the file's comments. */
export function withMark(
  text: string,
  id: string,
  fields: Readonly<Record<string, unknown>>,
): string {
  const document = parseDocument(text)
  const list = (document.get('list') as { toJSON(): { id?: unknown }[] } | null)?.toJSON() ?? []
  const index = list.findIndex((item) => item.id === id)
  if (index === -1) throw new TypeError(`no item ${id}`)
  for (const [name, value] of Object.entries(fields)) {
    document.setIn(['list', index, name], value)
  }
  return document.toString()
}

export type PdsEnv = ReadonlyMap<string, string>

/** Exactly what a PDS needs in its environment. */
export function pdsEnvironment(input: {
  config: Config
  policies: PolicySet
  doorUrl: string
  credential: { accessKeyId: string; secret: string }
}): PdsEnv {
  const { config, policies, doorUrl, credential } = input
  const recovery = policies.keys.find((key) => key.class === 'recovery')
  return new Map([
    ['PDS_PLC_ROTATION_KEY_KMS_KEY_ID', developmentKey],
    ['AWS_ENDPOINT_URL_KMS', doorUrl],
    ['AWS_REGION', 'us-east-1'],
    ['AWS_ACCESS_KEY_ID', credential.accessKeyId],
    ['AWS_SECRET_ACCESS_KEY', credential.secret],
    ...(config.plcUrl === 'https://plc.directory'
      ? []
      : [['PDS_DID_PLC_URL', config.plcUrl] as const]),
    ...(recovery === undefined ? [] : [['PDS_RECOVERY_DID_KEY', recovery.did] as const]),
  ])
}

export function renderEnv(env: PdsEnv): string {
  return [...env].map(([name, value]) => `${name}=${value}\n`).join('')
}

/** Keeps `pds.env` true, 0600: replaced whole when a line of it has changed. */
export async function writePdsEnv(path: string, env: PdsEnv): Promise<void> {
  const text = renderEnv(env)
  const current = await readFile(path, 'utf8').catch(() => null)
  if (current === text) return
  await replaceFile(path, text)
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
