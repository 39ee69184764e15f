import { openCheckpoint } from '../audit/checkpoint.ts'
import { inclusionPlan, hashLeaf, proofOf } from '../audit/merkle.ts'
import type { NodeId } from '../audit/merkle.ts'
import type { Ed25519Verify, NoteKey } from '../audit/note.ts'
import { formatProof, parseProof, verifyProof } from '../audit/proof.ts'
import { decodeTile, nodeOfTile, TILE_WIDTH, tileOfNode } from '../audit/tile.ts'
import { ExportError } from './export-log.ts'
import { LogBroken } from './log-broken.ts'
import type { AuditLogStore } from './ports.ts'
import { tileRoot } from './right-edge.ts'

/**
 * A receipt for one entry: a tlog-proof under the newest checkpoint, with the entry itself as its extra
 * data. It is verified before it is handed out.
 * @throws RangeError for an entry that no checkpoint covers yet
 */
export async function proveEntry(
  store: AuditLogStore,
  index: number,
  trust: { readonly key: NoteKey; readonly verify: Ed25519Verify },
): Promise<string> {
  const published = await store.checkpoint()
  if (published === null) throw new ExportError('no-checkpoint', 'no checkpoint was signed yet')
  const { size } = openCheckpoint(Buffer.from(published.note), [trust.key], trust.verify)
  const plan = inclusionPlan(index, size)
  const [entry] = await store.bodies(index, index + 1)
  if (entry === undefined) throw new LogBroken(`entry ${index} is missing in the database`)
  const hashes = await Promise.all(
    plan.needs.map(async (node) => await readNode(store, node, size)),
  )
  const text = formatProof({
    extra: entry.body,
    index,
    hashes: proofOf(plan, hashes),
    checkpoint: published.note,
  })
  verifyProof(parseProof(Buffer.from(text)), entry.body, {
    keys: [trust.key],
    verify: trust.verify,
  })
  return text
}

async function readNode(store: AuditLogStore, node: NodeId, size: number): Promise<Uint8Array> {
  const { level, index, width } = tileOfNode(node, size)
  const [full] = await store.tiles(level, index, index + 1)
  if (full !== undefined) return nodeOfTile(node, decodeTile(full, TILE_WIDTH))
  const from = index * TILE_WIDTH
  if (level > 0) {
    const below = await store.tiles(level - 1, from, from + width)
    return nodeOfTile(
      node,
      below.map((tile) => tileRoot(decodeTile(tile, TILE_WIDTH))),
    )
  }
  const bodies = await store.bodies(from, from + width)
  return nodeOfTile(
    node,
    bodies.map(({ body }) => hashLeaf(body)),
  )
}
