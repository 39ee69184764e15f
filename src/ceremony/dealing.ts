import { z } from 'zod'
import { parseDocument } from './document.ts'
import type { SignedDocument } from './document.ts'
import { environments } from './env.ts'
import type { Environment } from './env.ts'
import { custodianName, MAX_SHARES, SET_BYTES, wrapperDigest } from './share.ts'
import type { Share } from './share.ts'
import { ShareError } from './share-error.ts'

const hex = (length: number) =>
  z.string().regex(new RegExp(`^[0-9a-f]{${2 * length}}$`), `must be ${length} bytes in hex`)
const count = z.int().min(2).max(MAX_SHARES)

const schema = z
  .strictObject({
    format: z.literal('holdfast/dealing/v1'),
    env: z.enum(environments),
    did: z.string().max(128),
    set: hex(SET_BYTES),
    ceremony: hex(SET_BYTES),
    threshold: count,
    epoch: z.int().nonnegative(),
    made: z.iso.datetime(),
    /** Sets whose shares are not to be used any more. */
    retires: z.array(hex(SET_BYTES)).max(1_000),
    shares: z
      .array(
        z.strictObject({
          x: z.int().min(1).max(MAX_SHARES),
          custodian: custodianName,
          recipient: z.string().max(256),
          /** SHA-256 of the share's wrapper. */
          wrapper: hex(32),
          /** SHA-256 of the sealed file, so that damage can be told without opening it. */
          sealed: hex(32),
        }),
      )
      .min(2)
      .max(MAX_SHARES),
    proof: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
  })
  .refine(({ threshold, shares }) => threshold <= shares.length, 'needs more shares than there are')
  .refine(({ shares }) => new Set(shares.map(({ x }) => x)).size === shares.length, 'an x twice')
  .refine(
    ({ shares }) => new Set(shares.map(({ custodian }) => custodian)).size === shares.length,
    'a custodian twice',
  )

/**
 * The transcript of a split: public, signed by the key that was split. By it each share can be checked
 * alone, for as long as it is kept.
 */
export type Dealing = Readonly<z.infer<typeof schema>> & SignedDocument

/** Well-formed; its proof is still to be checked. @throws DocumentError */
export function parseDealing(text: string, file: string): Dealing {
  return parseDocument(schema, text, file)
}

/** What is asked of a share before it is used, or believed to be usable. */
export type Wanted = {
  readonly env: Environment
  /** Null when it is lost: then a foreign share shows only in the key that comes out. */
  readonly dealing: Dealing | null
  /** Sets, in hex, that are out of use. */
  readonly retired: readonly string[]
}

/**
 * @throws ShareError `SHARE_WRONG_ENV`, `SHARE_RETIRED`, `SHARE_MIXED_SET`, `SHARE_NOT_IN_SET`
 */
export function checkShare(share: Share, { env, dealing, retired }: Wanted): void {
  const refuse = (code: ConstructorParameters<typeof ShareError>[0], why: string) => {
    throw new ShareError(code, share, why)
  }
  const set = Buffer.from(share.set).toString('hex')
  if (share.env !== env) refuse('SHARE_WRONG_ENV', `it is for ${share.env}; this is ${env}`)
  if (retired.includes(set) || dealing?.retires.includes(set) === true) {
    refuse('SHARE_RETIRED', `its set ${set} was replaced by a later one`)
  }
  if (dealing === null) return
  if (set !== dealing.set) {
    refuse('SHARE_MIXED_SET', `it is of set ${set}; the transcript is of ${dealing.set}`)
  }
  const listed = dealing.shares.find(({ x }) => x === share.x)
  const digest = Buffer.from(wrapperDigest(share)).toString('hex')
  if (listed?.wrapper !== digest) refuse('SHARE_NOT_IN_SET', 'the transcript lists no such share')
}

/** Whose shares are not among these. */
export function missingCustodians(dealing: Dealing, shares: readonly Share[]): string[] {
  const there = shares.map(({ x }) => x)
  return dealing.shares.filter(({ x }) => !there.includes(x)).map(({ custodian }) => custodian)
}
