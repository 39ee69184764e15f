import { attachSignature, cidOf, didOfGenesis, signingBytes } from '../../src/plc/encode.ts'
import type {
  PlcOperation,
  SignedOperation,
  Tombstone,
  UnsignedOperation,
} from '../../src/plc/operation.ts'

/** An operation that was signed, with the names that follow from its bytes. */
export type Signed = {
  readonly did: string
  readonly cid: string
  readonly operation: SignedOperation
}

const atproto = 'did:key:zQ3shXGz9bgMurrofvVhawDcp1fsRwUuEZtVwULuHDk9mZWJW'
const movedAtproto = 'did:key:zQ3shhP93WnMQozrnxF93QDGhcJX62BFLvsvgkMFcq4HzUw7u'

/** A new account, as a PDS makes it. */
export function genesisOf(name: string, rotationKeys: readonly string[]): PlcOperation {
  return {
    type: 'plc_operation',
    rotationKeys: [...rotationKeys],
    verificationMethods: { atproto },
    alsoKnownAs: [`at://${name}.example.com`],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' },
    },
    prev: null,
  }
}

/** The next operation after `previous`: what is not given stays. */
export function updateOf(previous: Signed, changes: Partial<PlcOperation>): PlcOperation {
  const { operation } = previous
  if (operation.type !== 'plc_operation') throw new TypeError(`nothing follows ${operation.type}`)
  const { sig: _sig, ...before } = operation
  return { ...before, ...changes, prev: previous.cid }
}

export function renamed(previous: Signed, name: string): PlcOperation {
  return updateOf(previous, { alsoKnownAs: [`at://${name}.example.com`] })
}

/** A user who moves to another PDS: endpoint, `atproto` key and rotation keys change together. */
export function departureOf(previous: Signed, rotationKeys: readonly string[]): PlcOperation {
  return updateOf(previous, {
    rotationKeys: [...rotationKeys],
    verificationMethods: { atproto: movedAtproto },
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://elsewhere.example.com' },
    },
  })
}

export function tombstoneOf(previous: Signed): Tombstone {
  return { type: 'plc_tombstone', prev: previous.cid }
}

/** @param did of the identity; of a genesis it follows from the bytes */
export function signedWith(
  unsigned: UnsignedOperation,
  compact: Uint8Array,
  did: string | null = null,
): Signed {
  const operation = attachSignature(unsigned, compact)
  return { did: did ?? didOfGenesis(operation), cid: cidOf(operation), operation }
}

export async function signBy(
  key: { sign(bytes: Uint8Array): Promise<Uint8Array> },
  unsigned: UnsignedOperation,
  did: string | null = null,
): Promise<Signed> {
  return signedWith(unsigned, await key.sign(signingBytes(unsigned)), did)
}
