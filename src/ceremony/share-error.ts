/**
 * Each way in which shares give no key or, worse, a wrong one. The library that combines them notices
 * none of these but the duplicate.
 */
export type ShareErrorCode =
  /** Fewer than are needed: they would give a wrong secret. */
  | 'SHARE_BELOW_THRESHOLD'
  /** The bytes are not what was dealt: shape, encoding or digest. */
  | 'SHARE_CORRUPT'
  /** Well-formed, but not the one that the transcript of the dealing lists. */
  | 'SHARE_NOT_IN_SET'
  | 'SHARE_X_ZERO'
  | 'SHARE_DUPLICATE'
  /** Of another split than the rest. */
  | 'SHARE_MIXED_SET'
  /** Together they give a key, but not the pinned one. */
  | 'SHARE_WRONG_KEY'
  /** A rehearsal's where a real one is asked for, or the other way round. */
  | 'SHARE_WRONG_ENV'
  /** Of a split that a later one has replaced. */
  | 'SHARE_RETIRED'
  /** The file does not open: `another identity` or `damaged`. */
  | 'SHARE_DECRYPT'

/** Which share; as it says of itself, where it is not proven yet. */
export type ShareName = {
  readonly x?: number | undefined
  readonly custodian?: string | undefined
  readonly file?: string | undefined
}

export class ShareError extends Error {
  override readonly name = 'ShareError'
  readonly code: ShareErrorCode
  readonly share: ShareName
  readonly reason: string

  constructor(code: ShareErrorCode, share: ShareName, reason: string, cause?: unknown) {
    super(`${code}: ${nameOf(share)}${reason}`, cause === undefined ? {} : { cause })
    this.code = code
    this.share = share
    this.reason = reason
  }

  /** The same, with the file that it was read from. */
  in(file: string): ShareError {
    return new ShareError(this.code, { ...this.share, file }, this.reason, this.cause)
  }
}

function nameOf({ x, custodian, file }: ShareName): string {
  const parts = [
    ...(custodian === undefined ? [] : [`of ${custodian}`]),
    ...(x === undefined ? [] : [`x ${x}`]),
    ...(file === undefined ? [] : [`in ${file}`]),
  ]
  return parts.length === 0 ? '' : `the share ${parts.join(', ')}: `
}
