// Judges a PLC log without a line of Holdfast's own: @did-plc/lib for order and keys, and
// @atproto/crypto for what that library's frozen copy lets pass (high-S, padding; plc.md §7).
import { encode } from '@ipld/dag-cbor'
import { verifySignature } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import { cidOf } from './directory/log.ts'
import type { Entry } from './directory/operation.ts'

/** One element of `GET /:did/log/audit` and one line of `GET /export`. */
export type Listed = Omit<Entry, 'createdAt'> & { createdAt: string }

export async function readAuditLog(plcUrl: string, did: string): Promise<Listed[]> {
  const response = await fetch(`${plcUrl}/${did}/log/audit`)
  if (!response.ok) throw new Error(`${did}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Listed[]
}

/** Past every PDS, as whoever has a key can. */
export async function submitToDirectory(
  plcUrl: string,
  did: string,
  operation: object,
): Promise<void> {
  const response = await fetch(`${plcUrl}/${did}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(operation),
  })
  if (!response.ok) throw new Error(`${did}: ${response.status} ${await response.text()}`)
}

/** Everything on the directory, oldest first. */
export async function readExport(plcUrl: string): Promise<Listed[]> {
  const all = new Map<string, Listed>()
  for (let after = ''; ;) {
    const response = await fetch(`${plcUrl}/export?after=${after}`)
    const lines = (await response.text()).split('\n').filter((line) => line !== '')
    const size = all.size
    for (const line of lines) {
      const entry = JSON.parse(line) as Listed
      all.set(entry.cid, entry)
      after = entry.createdAt
    }
    // the 2023 server keeps microseconds and prints milliseconds, so the last line comes again
    if (all.size === size) return [...all.values()]
  }
}

/** Throws unless the log is sound: CIDs as listed, order, keys, and every signature 64 bytes, low-S,
 *  base64url without padding. For logs without nullified entries, which that library cannot judge. */
export async function assertSoundLog(did: string, log: readonly Listed[]): Promise<void> {
  if (log.some((entry) => entry.nullified)) throw new Error(`${did}: a nullified operation`)
  const operations = log.map((entry) => entry.operation)
  await plc.validateOperationLog(did, operations)
  for (const [index, entry] of log.entries()) {
    if (cidOf(entry.operation) !== entry.cid) throw new Error(`${did}: CID of ${entry.cid}`)
    const keys = rotationKeysOf(operations[Math.max(0, index - 1)])
    if (!(await isSignedByOne(entry.operation, keys)))
      throw new Error(`${did}: sig of ${entry.cid}`)
  }
}

function rotationKeysOf(operation: Entry['operation'] | undefined): readonly string[] {
  if (operation?.type === 'create') return [operation.recoveryKey, operation.signingKey]
  return operation?.type === 'plc_operation' ? operation.rotationKeys : []
}

async function isSignedByOne(
  operation: Entry['operation'],
  keys: readonly string[],
): Promise<boolean> {
  const { sig, ...unsigned } = operation
  const bytes = new Uint8Array(Buffer.from(sig, 'base64url'))
  if (Buffer.from(bytes).toString('base64url') !== sig) return false
  for (const key of keys) {
    if (await verifySignature(key, encode(unsigned), bytes)) return true
  }
  return false
}
