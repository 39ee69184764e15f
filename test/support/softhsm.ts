import { execFile, spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { formatDidKey } from '../../src/plc/did-key.ts'
import type { Curve } from '../../src/plc/did-key.ts'
import { openShim } from './pkcs11-shim/shim.ts'

const run = promisify(execFile)

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
]
const PROGRAMS = { 'softhsm2-util': 'softhsm2', 'pkcs11-tool': 'opensc', gcc: 'gcc' }

/** What the PKCS#11 tests cannot do without and this machine lacks; null when all is there. */
export function missingForPkcs11(): string | null {
  const missing = Object.entries(PROGRAMS)
    .filter(([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
    .map(([, name]) => name)
  if (!MODULES.some((path) => existsSync(path))) missing.push('softhsm2')
  return missing.length === 0 ? null : [...new Set(missing)].join(', ')
}

const PIN = 'pin of the test 1234'
const SO_PIN = 'so pin of the test'
const KEY_TYPES: Record<Curve, string> = { 'K-256': 'EC:secp256k1', 'P-256': 'EC:prime256v1' }

export type SoftHsm = Awaited<ReturnType<typeof openSoftHsm>>

/**
 * A SoftHSM2 with one token of its own, in a temporary folder, and the fault-injecting module before
 * it. Keys are made by `pkcs11-tool`, a client that shares no code with ours.
 * @param like a token to copy instead of making one, which takes several processes
 */
export async function openSoftHsm(like?: { readonly tokens: string }) {
  const dir = await mkdtemp(join(tmpdir(), 'holdfast-softhsm-'))
  const module = MODULES.find((path) => existsSync(path)) ?? ''
  const tokens = join(dir, 'tokens')
  const pinPath = join(dir, 'pin')
  const conf = join(dir, 'softhsm2.conf')
  if (like === undefined) await mkdir(tokens)
  else await cp(like.tokens, tokens, { recursive: true })
  await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\n`)
  const shim = await openShim(dir, module)
  const environment = { PATH: '/usr/bin:/bin', SOFTHSM2_CONF: conf, ...shim.environment }
  const util = async (...args: string[]) => await run('softhsm2-util', args, { env: environment })

  async function tool(...args: string[]): Promise<string> {
    const token = ['--module', module, '--token-label', 'T', '--login', '--pin', PIN]
    const { stdout } = await run('pkcs11-tool', [...token, ...args], { env: environment })
    return stdout
  }

  async function makeToken(label: string): Promise<void> {
    await util('--init-token', '--free', '--label', label, '--so-pin', SO_PIN, '--pin', PIN)
  }

  /** @returns the did:key as an SPKI that pkcs11-tool read says */
  async function makeKey(label: string, curve: Curve, ...more: string[]): Promise<string> {
    const usage = more.includes('--usage-decrypt') ? [] : ['--usage-sign']
    const type = ['--key-type', KEY_TYPES[curve], '--label', label, ...usage]
    await tool('--keypairgen', ...type, ...more)
    return await didOf(label, curve)
  }

  async function didOf(label: string, curve: Curve): Promise<string> {
    const path = join(dir, `${label}.spki`)
    await tool('--read-object', '--type', 'pubkey', '--label', label, '--output-file', path)
    const key = createPublicKey({ key: await readFile(path), format: 'der', type: 'spki' })
    const { x = '', y = '' } = key.export({ format: 'jwk' })
    const halves = [x, y].map((half) => Buffer.from(half, 'base64url'))
    return formatDidKey(curve, Buffer.concat([Buffer.of(4), ...halves]))
  }

  async function setPin(text: string): Promise<void> {
    await rm(pinPath, { force: true })
    await writeFile(pinPath, `${text}\n`, { mode: 0o600 })
    await chmod(pinPath, 0o600)
  }

  if (like === undefined) await makeToken('T')
  await setPin(PIN)
  return {
    dir,
    tokens,
    module,
    environment,
    shim,
    pinPath,
    pin: PIN,
    latchDir: join(dir, 'latches'),
    tool,
    util,
    makeToken,
    makeKey,
    setPin,
    /** `through` the shim, unless it is asked for the module itself. */
    uri: (object: string, through = shim.modulePath) =>
      `pkcs11:token=T;${object}?module-path=${through}&pin-source=file:${pinPath}`,
    tokenUri: (through = shim.modulePath) =>
      `pkcs11:token=T?module-path=${through}&pin-source=file:${pinPath}`,
    close: async () => await rm(dir, { recursive: true, force: true }),
  }
}
