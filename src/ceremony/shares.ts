import { combine, split } from 'shamir-secret-sharing'
import { checkShare, missingCustodians } from './dealing.ts'
import type { Wanted } from './dealing.ts'
import { SECRET_BYTES } from './share.ts'
import type { Share } from './share.ts'
import { ShareError } from './share-error.ts'

export type Deal = Pick<Share, 'env' | 'set' | 'ceremony' | 't' | 'did' | 'epoch'> & {
  /** One share each. */
  readonly custodians: readonly string[]
}

/**
 * Splits a secret, and proves before anything is written that each share has its part in giving it
 * back. The coefficients and x are chosen by the library, at random.
 * @param secret 32 bytes; the caller clears them
 */
export async function dealShares(secret: Uint8Array, deal: Deal): Promise<Share[]> {
  const { custodians, ...common } = deal
  const n = custodians.length
  if (secret.length !== SECRET_BYTES) throw new RangeError(`a secret has ${SECRET_BYTES} bytes`)
  // The library takes no Buffer.
  const copy = Uint8Array.from(secret)
  const points = await split(copy, n, common.t)
  copy.fill(0)
  const shares = points.map((point, index): Share => {
    const x = point[SECRET_BYTES] ?? 0
    const y = point.slice(0, SECRET_BYTES)
    point.fill(0)
    return { ...common, n, x, y, custodian: custodians[index] ?? '' }
  })
  for (const start of shares.keys()) {
    const some = [...shares, ...shares].slice(start, start + common.t)
    const again = await interpolate(some)
    const isSame = Buffer.compare(again, secret) === 0
    again.fill(0)
    if (!isSame) throw new Error('the shares do not give the secret back; nothing was written')
  }
  return shares
}

export type Opening = Wanted & {
  /** The pinned did:key that must come out. */
  readonly did: string
  /** Rejects for 32 bytes that are no private key. */
  readonly didOf: (secret: Uint8Array) => Promise<string>
}

/**
 * The secret, from as many checked shares as its threshold says. With spares, each of them must give
 * the same key in another's place.
 * @returns 32 bytes; whoever has them clears them
 * @throws ShareError any code but `SHARE_CORRUPT` and `SHARE_DECRYPT`, which come before
 */
export async function combineShares(
  shares: readonly Share[],
  opening: Opening,
): Promise<Uint8Array> {
  for (const share of shares) checkShare(share, opening)
  refuseMixed(shares)
  refuseDuplicates(shares)
  const used = enough(shares, opening)
  const secret = await interpolate(used)
  try {
    await requireKey(secret, used, opening)
    for (const spare of shares.slice(used.length)) {
      const others = [...used.slice(1), spare]
      const again = await interpolate(others)
      try {
        await requireKey(again, [spare], opening)
      } finally {
        again.fill(0)
      }
    }
    return secret
  } catch (error) {
    secret.fill(0)
    throw error
  }
}

/** Everything but x, y and custodian is the same in all shares of a split. */
function refuseMixed(shares: readonly Share[]): void {
  const splits = Map.groupBy(shares, splitOf)
  const [most, ...others] = [...splits.values()].sort((a, b) => b.length - a.length)
  const stranger = others[0]?.[0]
  if (stranger === undefined || most?.[0] === undefined) return
  const against = most.map(({ custodian }) => custodian).join(', ')
  throw new ShareError(
    'SHARE_MIXED_SET',
    stranger,
    `it is of another split than that of ${against}`,
  )
}

function splitOf({ env, set, ceremony, t, n, did, epoch }: Share): string {
  const ids = [set, ceremony].map((id) => Buffer.from(id).toString('hex'))
  return JSON.stringify([env, ...ids, t, n, did, epoch])
}

function refuseDuplicates(shares: readonly Share[]): void {
  for (const [index, share] of shares.entries()) {
    const first = shares.findIndex(({ x }) => x === share.x)
    if (first === index) continue
    const other = shares[first]?.custodian ?? ''
    throw new ShareError('SHARE_DUPLICATE', share, `it is there already, from ${other}`)
  }
}

function enough(shares: readonly Share[], { dealing }: Opening): readonly Share[] {
  const need = shares[0]?.t ?? dealing?.threshold ?? 2
  if (shares.length >= need) return shares.slice(0, need)
  const missing = dealing === null ? [] : missingCustodians(dealing, shares)
  const ask = missing.length === 0 ? '' : `; still to come: ${missing.join(', ')}`
  throw new ShareError(
    'SHARE_BELOW_THRESHOLD',
    {},
    `have ${shares.length} ${shares.length === 1 ? 'share' : 'shares'}, need ${need}${ask}`,
  )
}

async function requireKey(
  secret: Uint8Array,
  from: readonly Share[],
  { did, didOf }: Opening,
): Promise<void> {
  const found = await didOf(secret).catch(() => 'no key')
  if (found === did) return
  const [only, another] = from
  const who = from.map(({ x, custodian }) => `${custodian} (x ${x})`).join(', ')
  throw new ShareError(
    'SHARE_WRONG_KEY',
    another === undefined && only !== undefined ? only : {},
    `the shares of ${who} give ${found}, but ${did} is pinned`,
  )
}

async function interpolate(shares: readonly Share[]): Promise<Uint8Array> {
  const points = shares.map(({ x, y }) => Uint8Array.of(...y, x))
  try {
    return await combine(points)
  } finally {
    for (const point of points) point.fill(0)
  }
}
