import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { createRequire } from 'node:module'
import { finished } from 'node:stream/promises'
import { Secp256k1Keypair } from '@atproto/crypto'
import { formatDidKey } from '../../src/plc/did-key.ts'
import { attachSignature, cidOf, didOfGenesis, signingBytes } from '../../src/plc/encode.ts'
import type { PlcOperation, SignedOperation } from '../../src/plc/operation.ts'

/** What `GET /:did/log/audit` lists. */
export type AuditRow = {
  did: string
  operation: SignedOperation
  cid: string
  nullified: boolean
  createdAt: string
}

type Key = { readonly did: string; readonly sign: (bytes: Uint8Array) => Promise<Uint8Array> }

/** Signs with libsecp256k1 where it is there: twenty times as fast, the same signatures. */
type Binding = {
  publicKeyCreate(secret: Uint8Array): Uint8Array
  ecdsaSign(digest: Uint8Array, secret: Uint8Array): { signature: Uint8Array }
}

function loadBinding(): Binding | null {
  try {
    return createRequire(import.meta.url)('secp256k1/bindings.js') as Binding
  } catch {
    return null
  }
}

const binding = loadBinding()

/** The same key for the same name. */
export async function fastKey(name: string): Promise<Key> {
  const secret = new Uint8Array(createHash('sha256').update(name).digest())
  if (binding === null) {
    const keypair = await Secp256k1Keypair.import(secret)
    return { did: keypair.did(), sign: async (bytes) => await keypair.sign(bytes) }
  }
  return {
    did: formatDidKey('K-256', binding.publicKeyCreate(secret)),
    sign: async (bytes) => {
      const digest = new Uint8Array(createHash('sha256').update(bytes).digest())
      return binding.ecdsaSign(digest, secret).signature
    },
  }
}

const START = Date.UTC(2026, 0, 1)

/** Makes logs of two operations as a PDS leaves them: a genesis, and one change of the handle. */
export async function createLogMaker(
  server: string,
  endpoint = 'https://pds.example.com',
): Promise<{
  readonly did: string
  readonly make: (index: number) => Promise<AuditRow[]>
}> {
  const key = await fastKey(server)
  const recovery = await fastKey(`${server} recovery`)
  return {
    did: key.did,
    async make(index) {
      const genesis: PlcOperation = {
        type: 'plc_operation',
        rotationKeys: [recovery.did, key.did],
        verificationMethods: { atproto: (await fastKey(`${server} repo ${index}`)).did },
        alsoKnownAs: [`at://user${index}.pds.example.com`],
        services: {
          atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint },
        },
        prev: null,
      }
      const first = await signed(genesis, key)
      const did = didOfGenesis(first)
      const cid = cidOf(first)
      const alsoKnownAs = [`at://renamed${index}.pds.example.com`]
      const second = await signed({ ...genesis, alsoKnownAs, prev: cid }, key)
      return [
        { did, operation: first, cid, nullified: false, createdAt: timeOf(index, 0) },
        {
          did,
          operation: second,
          cid: cidOf(second),
          nullified: false,
          createdAt: timeOf(index, 1),
        },
      ]
    },
  }
}

async function signed(operation: PlcOperation, key: Key): Promise<SignedOperation> {
  return attachSignature(operation, await key.sign(signingBytes(operation)))
}

function timeOf(index: number, days: number): string {
  return new Date(START + index * 1_000 + days * 86_400_000).toISOString()
}

/** One log a line. @returns the did:key of the server that signed all of them */
export async function writeLogs(
  path: string,
  { count, server, from = 0 }: { count: number; server: string; from?: number },
): Promise<string> {
  const { did, make } = await createLogMaker(server)
  const file = createWriteStream(path)
  for (let index = from; index < from + count; index += 1) {
    if (!file.write(`${JSON.stringify(await make(index))}\n`)) {
      await new Promise<void>((resolve) => file.once('drain', resolve))
    }
  }
  file.end()
  await finished(file)
  return did
}
