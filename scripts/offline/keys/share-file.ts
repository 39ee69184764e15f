import { hash } from 'node:crypto'
import type { Dealing } from '../../../src/ceremony/dealing.ts'
import { decodeShare } from '../../../src/ceremony/share.ts'
import type { Share } from '../../../src/ceremony/share.ts'
import { ShareError } from '../../../src/ceremony/share-error.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { AgeError, isAgeFile, openWith } from '../age.ts'
import { readBounded } from '../command.ts'

const MAX_SHARE_FILE_BYTES = 16 * 1024

/** A share's file as it lies there: sealed, or already opened by its custodian's own tools. */
export type ShareFile = { readonly path: string; readonly content: Uint8Array }

export async function readShareFile(path: string): Promise<ShareFile> {
  return { path, content: await readBounded(path, MAX_SHARE_FILE_BYTES) }
}

/** Whom the transcript knows this very file of; null when it lists none such. */
export function listedIn({ content }: ShareFile, dealing: Dealing): string | null {
  const digest = hash('sha256', content, 'hex')
  const listed = dealing.shares.find(({ sealed, wrapper }) => [sealed, wrapper].includes(digest))
  return listed?.custodian ?? null
}

/**
 * The share in a file, opened with the first identity that fits.
 * @throws ShareError `SHARE_DECRYPT`, `SHARE_CORRUPT`, `SHARE_X_ZERO`, naming the file
 */
export async function openShareFile(
  file: ShareFile,
  identities: readonly string[],
  dealing: Dealing | null,
): Promise<Share> {
  const path = escapeText(file.path)
  const custodian = (dealing === null ? null : listedIn(file, dealing)) ?? undefined
  const wrapped = isAgeFile(file.content)
    ? await unseal(file, identities, { file: path, custodian })
    : file.content
  try {
    return decodeShare(wrapped)
  } catch (error) {
    throw error instanceof ShareError ? error.in(path) : error
  } finally {
    if (wrapped !== file.content) wrapped.fill(0)
  }
}

async function unseal(
  { content }: ShareFile,
  identities: readonly string[],
  name: ConstructorParameters<typeof ShareError>[1],
): Promise<Uint8Array> {
  for (const identity of identities) {
    try {
      return await openWith(identity, content)
    } catch (error) {
      if (!(error instanceof AgeError)) throw error
      if (error.reason === 'damaged') {
        throw new ShareError(
          'SHARE_DECRYPT',
          name,
          'damaged: the file is not what was sealed',
          error,
        )
      }
    }
  }
  const why =
    name.custodian === undefined
      ? 'another identity: none that was given opens it (or its header is damaged)'
      : 'another identity: the file is as it was dealt, and none that was given opens it'
  throw new ShareError('SHARE_DECRYPT', name, why)
}
