import { hashLeaf } from '../../../../src/audit/merkle.ts'
import { AuditError } from '../../../../src/audit/error.ts'
import { TILE_WIDTH } from '../../../../src/audit/tile.ts'
import { examineRun } from '../../../../src/audit/verify/examine.ts'
import type { KnownRules } from '../../../../src/audit/verify/examine.ts'
import type { Run } from '../../../../src/audit/verify/verify-log.ts'
import type { EcdsaVerify } from '../../../../src/plc/signature.ts'
import { readBundle } from './folder.ts'

/** So many bundles of a log of that size, from this one on. */
export type Part = {
  readonly dir: string
  readonly size: number
  readonly from: number
  readonly bundles: number
}
/** `whole`: nothing of it is missing. */
export type ExaminedPart = Run & { readonly whole: boolean }

/** Reads some bundles and examines their entries, each by itself. */
export async function examinePart(
  { dir, size, from, bundles }: Part,
  rules: KnownRules,
  verify: EcdsaVerify,
): Promise<ExaminedPart> {
  const start = from * TILE_WIDTH
  const end = Math.min(size, start + bundles * TILE_WIDTH)
  const bodies: Uint8Array[] = []
  let bad: string | null = null
  while (start + bodies.length < end) {
    const index = Math.floor((start + bodies.length) / TILE_WIDTH)
    try {
      const found = readBundle(dir, index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH))
      if (found === null) break
      bodies.push(...found)
    } catch (error) {
      if (!(error instanceof AuditError)) throw error
      bad = `bundle ${index}: ${error.message}`
      break
    }
  }
  return {
    start,
    whole: start + bodies.length === end,
    bad,
    leaves: bodies.map(hashLeaf),
    facts: await examineRun({ start, bodies }, rules, verify),
  }
}
