import { hash, randomBytes } from 'node:crypto'
import type { Custodians } from '../../../src/ceremony/custodians.ts'
import type { Dealing } from '../../../src/ceremony/dealing.ts'
import { renderDocument } from '../../../src/ceremony/document.ts'
import type { Environment } from '../../../src/ceremony/env.ts'
import { SET_BYTES, encodeShare, wrapperDigest } from '../../../src/ceremony/share.ts'
import type { Share } from '../../../src/ceremony/share.ts'
import { dealShares } from '../../../src/ceremony/shares.ts'
import { sealTo } from '../age.ts'
import { signDocument } from './possession.ts'
import type { Prove } from './possession.ts'

export type DealOptions = {
  readonly env: Environment
  readonly did: string
  readonly threshold: number
  readonly custodians: Custodians
  /** Sets, in hex, that this one replaces. */
  readonly retires: readonly string[]
  readonly made: string
  readonly prove: Prove
}

export type Dealt = {
  readonly dealing: Dealing
  /** By name: each sealed share, and the transcript. */
  readonly files: Readonly<Record<string, Uint8Array | string>>
}

/**
 * Splits a secret and seals each share to its custodian. Nothing is written here; the shares in the
 * clear are gone when this ends.
 */
export async function dealSecret(secret: Uint8Array, options: DealOptions): Promise<Dealt> {
  const { env, did, threshold, custodians } = options
  const [set, ceremony] = [randomBytes(SET_BYTES), randomBytes(SET_BYTES)]
  const shares = await dealShares(secret, {
    env,
    set: Uint8Array.from(set),
    ceremony: Uint8Array.from(ceremony),
    t: threshold,
    did,
    epoch: custodians.epoch,
    custodians: custodians.list.map(({ id }) => id),
  })
  try {
    const sealed = await sealAll(shares, custodians)
    const dealing = await signDocument<Dealing>(
      {
        format: 'holdfast/dealing/v1',
        env,
        did,
        set: set.toString('hex'),
        ceremony: ceremony.toString('hex'),
        threshold,
        epoch: custodians.epoch,
        made: options.made,
        retires: [...options.retires],
        shares: sealed.map(({ listed }) => listed),
        proof: '',
      },
      options.prove,
    )
    const files = sealed.map(({ listed, file }) => [`${listed.custodian}.share.age`, file] as const)
    return {
      dealing,
      files: { ...Object.fromEntries(files), 'dealing.json': renderDocument(dealing) },
    }
  } finally {
    for (const { y } of shares) y.fill(0)
  }
}

async function sealAll(shares: readonly Share[], { list }: Custodians) {
  const sealed: { listed: Dealing['shares'][number]; file: Uint8Array }[] = []
  for (const share of shares) {
    const recipient = list.find(({ id }) => id === share.custodian)?.recipient ?? ''
    const wrapped = encodeShare(share)
    const file = await sealTo(recipient, wrapped)
    wrapped.fill(0)
    const wrapper = Buffer.from(wrapperDigest(share)).toString('hex')
    const { x, custodian } = share
    sealed.push({
      listed: { x, custodian, recipient, wrapper, sealed: hash('sha256', file, 'hex') },
      file,
    })
  }
  return sealed
}
