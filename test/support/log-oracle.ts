import * as dagCbor from '@ipld/dag-cbor'
import type { Pool } from 'pg'
import { examineRun } from '../../src/audit/verify/examine.ts'
import type { Finding } from '../../src/audit/verify/fact.ts'
import { hashLeaf } from '../../src/audit/merkle.ts'
import { encodeTile } from '../../src/audit/tile.ts'
import { verifyLog } from '../../src/audit/verify/verify-log.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { beginning, checkpointOf, logSigner } from './exported-log.ts'

const signer = logSigner()
const { verify } = openVerifier()

/**
 * What an auditor would find in the log that this database holds, sequenced or waiting to be: nothing,
 * whatever crashed, raced or failed on the way to it. A log that nothing has begun yet is begun here.
 */
export async function auditFindings(pool: Pick<Pool, 'query'>): Promise<string[]> {
  const { rows } = await pool.query<{ body: Buffer }>(
    `select body from (select 0 as part, idx as place, body from audit_entries
     union all select 1, id, body from audit_outbox) record order by part, place`,
  )
  const entries = rows.map(({ body }) => new Uint8Array(body))
  const [first] = entries
  if (first === undefined) return []
  const { at, ...named } = dagCbor.decode<{ at: number; origin?: string; checkpointKey?: string }>(
    first,
  )
  const { origin, checkpointKey } = named
  return origin === undefined || checkpointKey === undefined
    ? await judge([beginning(signer, at), ...entries], signer.origin, signer.vkey)
    : await judge(entries, origin, checkpointKey)
}

/** What a test made older than the log says is not what the log tells of. */
export const ofMovedTime = (finding: string): boolean =>
  finding.endsWith('is called ours, and the log has no such signature') ||
  finding.endsWith('it ended before its time')

async function judge(
  bodies: readonly Uint8Array[],
  origin: string,
  checkpointKey: string,
): Promise<string[]> {
  const { size, root } = checkpointOf(bodies, signer)
  const leaves = bodies.map(hashLeaf)
  const report = await verifyLog({
    checkpoint: { origin, size, root },
    checkpointKey,
    anchors: [{ name: 'now', size, root }],
    unanchored: null,
    async *runs(known) {
      for (let start = 0; start < size; start += 1) {
        const facts = await examineRun({ start, bodies: [bodies[start]!] }, known, verify)
        yield { start, leaves: [leaves[start]!], facts, bad: null }
      }
    },
    tile: async ({ level, index, width }) =>
      level === 0 ? encodeTile(leaves.slice(index * 256, index * 256 + width)) : null,
    verify,
  })
  const text = ({ index, message }: Finding) => `entry ${index ?? 'none'}: ${message}`
  const ofEntries = report.missing.filter(({ index }) => index !== null)
  return [...report.findings, ...ofEntries].map(text)
}
