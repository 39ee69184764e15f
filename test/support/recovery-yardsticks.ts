// What the benchmark of a recovery is held against: the same work with the method's own libraries, and the
// curve operations that it cannot do without. Not ours, so it stays out of `scripts`.
import { createRequire } from 'node:module'
import { hash } from 'node:crypto'
import { Secp256k1Keypair, verifySignature as verifyAtproto } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import { encode } from '@ipld/dag-cbor'
import { parseSignature } from '../../src/plc/compact.ts'
import { parseRotationKey } from '../../src/plc/did-key.ts'
import { encodeSignedOperation, withoutSignature } from '../../src/plc/encode.ts'
import type { SignedOperation } from '../../src/plc/operation.ts'

export type Row = { did: string; operation: SignedOperation; cid: string }
type Purpose = { lost: string; did: string; recovery: string; secret: Uint8Array }

/** What somebody would write in an afternoon. */
export async function reference(logs: readonly Row[][], purpose: Purpose): Promise<void> {
  const { lost, did: replacement, recovery, secret } = purpose
  const keypair = await Secp256k1Keypair.import(secret)
  for (const rows of logs) {
    const operations: plc.CompatibleOpOrTombstone[] = rows.map(({ operation }) => operation)
    const data = await plc.validateOperationLog(rows[0]!.did, operations)
    if (data === null) throw new Error('a tombstone')
    const rotationKeys = data.rotationKeys.map((key) => (key === lost ? replacement : key))
    const last = operations.at(-1) as plc.CompatibleOp
    const signed = await plc.createUpdateOp(last, keypair, (op) => ({ ...op, rotationKeys }))
    const { sig, ...unsigned } = signed
    const bytes = new Uint8Array(Buffer.from(sig, 'base64url'))
    if (!(await verifyAtproto(recovery, encode(unsigned), bytes))) throw new Error('not verified')
  }
}

type Binding = {
  ecdsaVerify(compact: Uint8Array, digest: Uint8Array, key: Uint8Array): boolean
  ecdsaSign(digest: Uint8Array, secret: Uint8Array): { signature: Uint8Array }
}

/** The necessary curve operations and nothing else: one verification an operation, one signature, one of it. */
export function curveOperations(
  prepared: readonly Prepared[][],
  { recovery, secret }: Purpose,
): void {
  const k256 = createRequire(import.meta.url)('secp256k1/bindings.js') as Binding
  const own = parseRotationKey(recovery).publicKey
  for (const rows of prepared) {
    for (const { compact, digest, publicKey } of rows) {
      if (!k256.ecdsaVerify(compact, digest, publicKey)) throw new Error('not verified')
    }
    const { digest } = rows[0]!
    const { signature } = k256.ecdsaSign(digest, secret)
    if (!k256.ecdsaVerify(signature, digest, own)) throw new Error('not verified')
  }
}

type Prepared = { compact: Uint8Array; digest: Uint8Array; publicKey: Uint8Array }

export function prepareCurve(logs: readonly Row[][], { lost }: Purpose): Prepared[][] {
  const { publicKey } = parseRotationKey(lost)
  return logs.map((rows) =>
    rows.map(({ operation }) => ({
      compact: parseSignature(operation.sig),
      digest: new Uint8Array(
        hash('sha256', withoutSignature(encodeSignedOperation(operation)), 'buffer'),
      ),
      publicKey,
    })),
  )
}
