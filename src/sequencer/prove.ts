import { openCheckpoint } from '../audit/checkpoint.ts'
import { inclusionPlan } from '../audit/merkle.ts'
import type { Ed25519Verify, NoteKey } from '../audit/note.ts'
import { formatProof, parseProof, verifyProof } from '../audit/proof.ts'
import { ExportError } from './export-log.ts'
import { LogBroken } from './log-broken.ts'
import type { AuditLogStore } from './ports.ts'
import { readInclusion } from './read-node.ts'

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
  // Said before anything is read: there is no such entry yet.
  inclusionPlan(index, size)
  const [entry] = await store.bodies(index, index + 1)
  if (entry === undefined) throw new LogBroken(`entry ${index} is missing in the database`)
  const hashes = await readInclusion(store, { index, size })
  const text = formatProof({
    extra: entry.body,
    index,
    hashes,
    checkpoint: published.note,
  })
  verifyProof(parseProof(Buffer.from(text)), entry.body, {
    keys: [trust.key],
    verify: trust.verify,
  })
  return text
}
