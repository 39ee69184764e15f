import { consistencyPlan, hashLeaf, inclusionPlan, proofOf } from '../audit/merkle.ts'
import type { NodeId, ProofPlan } from '../audit/merkle.ts'
import { decodeTile, nodeOfTile, TILE_WIDTH, tileOfNode } from '../audit/tile.ts'
import type { AuditLogStore } from './ports.ts'
import { tileRoot } from './right-edge.ts'

type Nodes = Pick<AuditLogStore, 'tiles' | 'bodies'>

/** The path from an entry to the root of a log of that size. @throws RangeError */
export async function readInclusion(
  store: Nodes,
  { index, size }: { readonly index: number; readonly size: number },
): Promise<Uint8Array[]> {
  return await readProof(store, inclusionPlan(index, size), size)
}

/** That the log of `size` entries continues the one of `from`. @throws RangeError */
export async function readConsistency(
  store: Nodes,
  { from, size }: { readonly from: number; readonly size: number },
): Promise<Uint8Array[]> {
  return from === 0 || from === size
    ? []
    : await readProof(store, consistencyPlan(from, size), size)
}

async function readProof(store: Nodes, plan: ProofPlan, size: number): Promise<Uint8Array[]> {
  const hashes = await Promise.all(
    plan.needs.map(async (node) => await readNode(store, node, size)),
  )
  return proofOf(plan, hashes)
}

async function readNode(store: Nodes, node: NodeId, size: number): Promise<Uint8Array> {
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
