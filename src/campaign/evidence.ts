import { readVerifiedLog } from '../custody/read-log.ts'
import { DirectoryError } from '../directory/directory.ts'
import type { PlcDirectory } from '../directory/directory.ts'
import type { VerifiedLog } from '../plc/log.ts'
import type { EcdsaVerify } from '../plc/signature.ts'
import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { backoffMs } from './pace.ts'
import type { Pace } from './pace.ts'

/** What the directory said of one identity, as far as it is final. */
export type Evidence =
  | { readonly kind: 'log'; readonly log: VerifiedLog }
  /** It does not know the identity. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Its answer is no log that verifies. */
  | { readonly kind: 'invalid'; readonly reason: string }
  /** No usable answer, tried again and again: nothing is known. */
  | { readonly kind: 'unread'; readonly reason: string }

export type EvidenceDeps = {
  readonly directory: PlcDirectory
  readonly verify: EcdsaVerify
  readonly pace: Pace
  readonly clock?: Clock
}

const MAX_FAILURES = 4
const MAX_RATE_LIMITED = 8

/** Reads and verifies one log, at the campaign's pace, with bounded retries of what may pass. */
export async function readEvidence(did: string, deps: EvidenceDeps): Promise<Evidence> {
  const { directory, verify } = deps
  const read = await readPatiently(
    async () => await readVerifiedLog(did, { directory, verify }),
    deps,
  )
  return read.kind === 'read' ? { kind: 'log', log: read.value } : read
}

/** One log as the directory lists it, for who verifies it elsewhere. */
export async function readRawLog(
  did: string,
  deps: Pick<EvidenceDeps, 'directory' | 'pace' | 'clock'>,
): Promise<Read<unknown>> {
  return await readPatiently(
    async () => await deps.directory.getLog(did, AbortSignal.timeout(READ_DEADLINE_MS)),
    deps,
  )
}

const READ_DEADLINE_MS = 20_000

type Read<T> = { readonly kind: 'read'; readonly value: T } | Exclude<Evidence, { kind: 'log' }>

async function readPatiently<T>(
  read: () => Promise<T>,
  { pace, clock = systemClock }: Pick<EvidenceDeps, 'pace' | 'clock'>,
): Promise<Read<T>> {
  let failures = 0
  let rateLimited = 0
  for (;;) {
    await pace.turn()
    try {
      const value = await read()
      pace.answered()
      return { kind: 'read', value }
    } catch (error) {
      if (!(error instanceof DirectoryError)) throw error
      switch (error.code) {
        case 'not-registered':
          pace.answered()
          return { kind: 'refused', reason: error.message }
        case 'malformed':
          pace.answered()
          return { kind: 'invalid', reason: error.message }
        case 'rate-limited':
          rateLimited += 1
          if (rateLimited === MAX_RATE_LIMITED) return { kind: 'unread', reason: error.message }
          pace.tooMany(error.retryAfterMs)
          break
        case 'unknown':
          failures += 1
          if (failures === MAX_FAILURES) return { kind: 'unread', reason: error.message }
          await clock.sleep(backoffMs(failures - 1))
      }
    }
  }
}
