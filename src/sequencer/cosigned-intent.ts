import { decodeEntry } from '../audit/decode.ts'
import { AuditError } from '../audit/error.ts'
import { hashLeaf, verifyInclusion } from '../audit/merkle.ts'
import type { AuditLogStore } from './ports.ts'
import { readInclusion } from './read-node.ts'
import type { Witnessing } from './witnessing.ts'

/** As the entry of an intent names it. */
export type NamedIntent = {
  readonly requestId: string
  readonly lease: string
  readonly keyDid: string
}

/** Entries that may have been appended between an intent's commit and the first look for it, many times over. */
const BEFORE = 4_096
/** No more is searched through for one intent. */
const MOST = 32_768
const LOOK_EVERY_MS = 50

/**
 * Waits until an intent stands under a checkpoint that a quorum of witnesses has cosigned. The database only
 * helps to find it: its bytes are hashed here, up to the root that the witnesses signed.
 * @returns whether it does, before `signal` says that nobody can wait any longer
 */
export async function isCosigned(
  intent: NamedIntent,
  deps: {
    readonly log: Pick<AuditLogStore, 'head' | 'bodies' | 'tiles'>
    readonly witnessing: Witnessing
    readonly wait: (ms: number) => Promise<unknown>
    readonly signal: AbortSignal
  },
): Promise<boolean> {
  const { log, witnessing, wait, signal } = deps
  const { range } = await log.head()
  const first = Math.max(0, range.size - BEFORE)
  let from = first
  let found: { readonly index: number; readonly body: Uint8Array } | null = null
  const ended = aborted(signal)
  while (!signal.aborted) {
    await Promise.race([witnessing.look(), ended])
    const cosigned = await witnessing.newest()
    if (cosigned !== null && cosigned.size > from) {
      const to = Math.min(cosigned.size, first + MOST)
      found ??= await findIntent(log, intent, { from, to })
      from = Math.max(from, to)
    }
    if (found !== null && cosigned !== null && cosigned.size > found.index) {
      const { index, body } = found
      const { size, root } = cosigned
      const proof = await readInclusion(log, { index, size })
      return verifyInclusion({ index, size, leaf: hashLeaf(body), proof, root })
    }
    await wait(LOOK_EVERY_MS)
  }
  return false
}

async function findIntent(
  log: Pick<AuditLogStore, 'bodies'>,
  { requestId, lease, keyDid }: NamedIntent,
  { from, to }: { readonly from: number; readonly to: number },
) {
  for (const { index, body } of await log.bodies(from, to)) {
    if (!Buffer.from(body).includes(lease)) continue
    const entry = entryOf(body)
    const isIt =
      entry?.kind === 'signature.intended' &&
      entry.request === requestId &&
      entry.lease === lease &&
      entry.keyDid === keyDid
    if (isIt) return { index, body }
  }
  return null
}

function entryOf(body: Uint8Array) {
  try {
    return decodeEntry(body).entry
  } catch (error) {
    if (error instanceof AuditError) return null
    throw error
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  )
}
