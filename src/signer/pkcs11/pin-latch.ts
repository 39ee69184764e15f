import { mkdir, open, readFile, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { replaceFile, writeOnce } from '../../files/write-once.ts'

const reasons = [
  /** Written before each login. Found again, it says that somebody died before the answer came. */
  'login-begun',
  /** The token refused the PIN. */
  'pin-refused',
  'pin-locked',
  'pin-expired',
  /** The token allows one more attempt, and the service does not spend it. */
  'final-try',
  /** The login failed without a word about the PIN: it may have counted. */
  'login-failed',
  /** The file cannot be read. */
  'unreadable',
] as const
export type LatchReason = (typeof reasons)[number]

const record = z.strictObject({
  format: z.literal('holdfast/pin-latch/v1'),
  serial: z.string(),
  reason: z.enum(reasons),
  /** CKR of the login, or what else is known. */
  detail: z.string(),
  /** Of the PIN's source, when it was tried. */
  pinVersion: z.string().nullable(),
  attempt: z.string(),
  pid: z.int().positive(),
  at: z.iso.datetime(),
})

/** No login to this token until a person has looked. */
export type Latch = Readonly<Omit<z.infer<typeof record>, 'format'>>

const SUFFIX = '.latch'

/**
 * Writes the latch, durable on return. Only then may the PIN be tried.
 * @returns false when there is one already: nobody may try
 */
export async function engageLatch(dir: string, latch: Latch): Promise<boolean> {
  await makeDurableDir(dir)
  return await writeOnce(latchPath(dir, latch.serial), render(latch))
}

/** Says what became of the attempt. Until it is written, the old record stands, which latches too. */
export async function amendLatch(dir: string, latch: Latch): Promise<void> {
  await makeDurableDir(dir)
  await replaceFile(latchPath(dir, latch.serial), render(latch))
}

/** After a login that succeeded, and by `unlatch`; by nothing else. */
export async function releaseLatch(dir: string, serial: string): Promise<void> {
  await rm(latchPath(dir, serial), { force: true })
  await syncDirectory(dir)
}

/** A latch that is damaged is still one. */
export async function readLatch(dir: string, serial: string): Promise<Latch | null> {
  let content: string
  try {
    content = await readFile(latchPath(dir, serial), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    return unreadable(serial, String(error))
  }
  try {
    const { format: _, ...latch } = record.parse(JSON.parse(content))
    return latch.serial === serial ? latch : unreadable(serial, 'it names another token')
  } catch {
    return unreadable(serial, 'it is damaged')
  }
}

/** All latches of a directory, for people. */
export async function listLatches(dir: string): Promise<Latch[]> {
  const names = await readdir(dir).catch(() => [])
  const latches = names.flatMap((name) => {
    const serial = serialOf(name)
    return serial === null ? [] : [readLatch(dir, serial)]
  })
  return (await Promise.all(latches)).filter((latch) => latch !== null)
}

/**
 * For `keys unlatch`: a person has looked at token and PIN and allows one more attempt.
 * @returns what was latched; null when nothing was
 */
export async function unlatch(dir: string, serial: string): Promise<Latch | null> {
  const latch = await readLatch(dir, serial)
  if (latch !== null) await releaseLatch(dir, serial)
  return latch
}

/** In words, for health and `keys unlatch`. */
export function describeLatch({ reason, detail }: Latch): string {
  switch (reason) {
    case 'login-begun':
      return 'a login was cut off before its answer came, and counts as a wrong PIN'
    case 'pin-refused':
      return `the token refused the PIN (${detail})`
    case 'pin-locked':
      return `the token has locked the PIN (${detail})`
    case 'pin-expired':
      return `the PIN has expired (${detail})`
    case 'final-try':
      return 'the token allows one last attempt at the PIN; log in once with its own tools first'
    case 'login-failed':
      return `the login failed (${detail}), which may have counted as a wrong PIN`
    case 'unreadable':
      return `its latch file cannot be read (${detail})`
  }
}

function render(latch: Latch): string {
  return `${JSON.stringify({ format: 'holdfast/pin-latch/v1', ...latch } satisfies z.infer<typeof record>)}\n`
}

function unreadable(serial: string, detail: string): Latch {
  const at = new Date(0).toISOString()
  return { serial, reason: 'unreadable', detail, pinVersion: null, attempt: '', pid: 1, at }
}

/** A directory that a power failure takes away takes its latches with it. */
async function makeDurableDir(dir: string): Promise<void> {
  const made = await mkdir(dir, { recursive: true, mode: 0o700 })
  if (made !== undefined) await syncDirectory(dirname(made))
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Serials are text of the token's: what could leave the directory is spelled in hex. */
function latchPath(dir: string, serial: string): string {
  const name = /^[A-Za-z0-9_-]+$/.test(serial)
    ? serial
    : `=${Buffer.from(serial, 'utf8').toString('hex')}`
  return join(dir, `${name}${SUFFIX}`)
}

function serialOf(name: string): string | null {
  if (!name.endsWith(SUFFIX)) return null
  const stem = name.slice(0, -SUFFIX.length)
  return stem.startsWith('=') ? Buffer.from(stem.slice(1), 'hex').toString('utf8') : stem
}
