import { createHash } from 'node:crypto'
import { encode } from '@ipld/dag-cbor'
import { verifySignature } from '@atproto/crypto'
import { base32 } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import * as digest from 'multiformats/hashes/digest'
import { Refusal } from './operation.ts'
import type { Data, Entry, Operation } from './operation.ts'

const WINDOW_MS = 72 * 3_600_000

/** Judges the next operation of `did` by R1 to R8 of plc.md, and says which entries it nullifies.
 *  Throws a Refusal in the directory's words, the misleading ones included: whoever signs with a
 *  key that has no say at `prev`, and whoever submits twice, both hear "Invalid signature on op". */
export async function judge(
  did: string,
  active: readonly Entry[],
  operation: Operation,
  now: Date,
): Promise<Entry[]> {
  const head = active.at(-1)
  if (head === undefined) {
    await judgeGenesis(did, operation)
    return []
  }
  const at = active.findIndex((entry) => entry.cid === operation.prev)
  const prev = active[at]
  const data = prev === undefined ? null : dataOf(prev.operation)
  if (data === null) throw misordered()
  const [first, ...rest] = active.slice(at + 1)
  if (first === undefined) {
    await signerOf(operation, data.rotationKeys)
    return []
  }
  const disputed = await signerOf(first.operation, data.rotationKeys)
  await signerOf(operation, data.rotationKeys.slice(0, disputed))
  if (now.getTime() <= head.createdAt.getTime()) throw misordered()
  const elapsed = now.getTime() - first.createdAt.getTime()
  if (elapsed > WINDOW_MS) {
    const what = 'Recovery operation occurred outside of the allowed 72 hr recovery window'
    throw new Refusal(400, `${what}. Time lapsed: ${elapsed}`)
  }
  return [first, ...rest]
}

/** Legacy creations in today's fields; null for a tombstone. */
export function dataOf(operation: Entry['operation']): Data | null {
  if (operation.type === 'plc_tombstone') return null
  if (operation.type === 'plc_operation') {
    const { rotationKeys, verificationMethods, alsoKnownAs, services } = operation
    return { rotationKeys, verificationMethods, alsoKnownAs, services }
  }
  const { recoveryKey, signingKey, handle, service } = operation
  const endpoint = /^https?:\/\//.test(service) ? service : `https://${service}`
  return {
    rotationKeys: [recoveryKey, signingKey],
    verificationMethods: { atproto: signingKey },
    alsoKnownAs: [`at://${handle}`],
    services: { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint } },
  }
}

export function cidOf(operation: Entry['operation']): string {
  return CID.createV1(0x71, digest.create(0x12, sha256(encode(operation)))).toString()
}

export function didOf(genesis: Entry['operation']): string {
  return `did:plc:${base32.baseEncode(sha256(encode(genesis))).slice(0, 24)}`
}

async function judgeGenesis(did: string, operation: Operation): Promise<void> {
  const data = dataOf(operation)
  if (data === null) throw misordered()
  await signerOf(operation, data.rotationKeys)
  const expected = didOf(operation)
  if (expected !== did) {
    const what = 'Hash of genesis operation does not match DID identifier'
    throw new Refusal(400, `${what}: ${expected}`)
  }
  if (operation.prev !== null) {
    throw new Refusal(400, 'Improperly formatted operation, expected null prev on create')
  }
}

/** Index of the first of `keys` that the operation's signature verifies under. */
async function signerOf(operation: Entry['operation'], keys: readonly string[]): Promise<number> {
  const { sig, ...unsigned } = operation
  const signature = new Uint8Array(Buffer.from(sig, 'base64url'))
  const wellFormed = signature.length === 64 && Buffer.from(signature).toString('base64url') === sig
  for (const [index, key] of keys.entries()) {
    if (wellFormed && (await verifySignature(key, encode(unsigned), signature))) return index
  }
  throw new Refusal(400, `Invalid signature on op: ${JSON.stringify(operation)}`)
}

function misordered(): Refusal {
  return new Refusal(400, 'Operations not correctly ordered')
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}
