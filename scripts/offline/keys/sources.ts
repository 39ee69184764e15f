import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal.ts'
import { openKeyFile, openShares } from './open-software.ts'
import type { Pinned, ShareSources } from './open-software.ts'

/** Where the private half of a software key is. */
export type Sources = ShareSources & { readonly keyFile: string | undefined }

/** For `parseArgs`. */
export const sourceOptions = {
  'key-file': { type: 'string' },
  share: { type: 'string', multiple: true, default: [] as string[] },
  identity: { type: 'string', multiple: true, default: [] as string[] },
  dealing: { type: 'string' },
} as const

type SourceValues = {
  readonly 'key-file'?: string | undefined
  readonly share: string[]
  readonly identity: string[]
  readonly dealing?: string | undefined
}

/** @returns null when none is named @throws UsageError when both are */
export function sourcesOf(values: SourceValues, usage: string): Sources | null {
  const { 'key-file': keyFile, share, identity, dealing } = values
  const isShares = share.length > 0
  const hasOpeners = identity.length > 0 || dealing !== undefined
  if ((keyFile !== undefined && isShares) || (hasOpeners && !isShares)) throw new UsageError(usage)
  if (keyFile === undefined && !isShares) return null
  return { keyFile, shares: share, identities: identity, dealing: dealing ?? null }
}

/** @returns 32 bytes, proven to be those of the pinned key; the caller clears them */
export async function openSecret(
  sources: Sources,
  pinned: Pinned,
  terminal: Terminal,
): Promise<Uint8Array> {
  const { keyFile } = sources
  if (keyFile !== undefined) return await openKeyFile(keyFile, pinned, terminal)
  return await openShares(sources, pinned, terminal)
}
