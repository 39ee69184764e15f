import { expect } from 'vitest'
import { cidOf, didOfGenesis } from '../../src/plc/encode.ts'
import type { PlcOperation } from '../../src/plc/operation.ts'
import { keyNamed, signLegacy } from '../plc/build-log.ts'
import type { Custody } from '../support/custody.ts'
import { genesisOf, signBy, updateOf } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'

export const PDS = 'https://pds.example.com'

let serial = 0
export const fresh = (what: string) => `${what}-${(serial += 1)}`

export async function genesisFor(
  name: string,
  rotationKeys: readonly string[],
): Promise<PlcOperation> {
  const atproto = (await keyNamed(`${name}-repo`)).did()
  return { ...genesisOf(name, rotationKeys), verificationMethods: { atproto } }
}

/** In care from its genesis on, with a key of its user above ours; the user then signs by himself. */
export async function changedByUser(custody: Custody, change: Partial<PlcOperation> = {}) {
  const name = fresh('user')
  const user = await keyNamed(name)
  const genesis = await custody.signed(await genesisFor(name, [user.did(), custody.key.did]))
  custody.directory.submit(genesis)
  const alsoKnownAs = [`at://${name}.own.example.com`]
  const changed = await signBy(user, updateOf(genesis, { alsoKnownAs, ...change }), genesis.did)
  custody.directory.submit(changed)
  return { name, user, genesis, changed }
}

export type MovedIn = { readonly name: string; readonly genesis: Signed; readonly moved: Signed }

/** An account of another PDS that moved to ours: a log that nobody here has seen. */
export async function movedIn(
  custody: Custody,
  change: Partial<PlcOperation> = {},
): Promise<MovedIn> {
  const { name, genesis, move } = await aboutToMove(custody, change)
  const moved = await move()
  custody.pds.dids.push(genesis.did)
  return { name, genesis, moved }
}

export async function aboutToMove(custody: Custody, change: Partial<PlcOperation> = {}) {
  const name = fresh('mover')
  const old = await keyNamed(`${name}-old-pds`)
  const before = await genesisFor(name, [old.did()])
  const genesis = await signBy(old, { ...before, services: servicesAt('https://old.example.com') })
  custody.directory.submit(genesis)
  return {
    name,
    genesis,
    move: async (): Promise<Signed> => {
      const services = servicesAt(PDS)
      const rotationKeys = [custody.key.did]
      const operation = updateOf(genesis, { services, rotationKeys, ...change })
      const moved = await signBy(old, operation, genesis.did)
      custody.directory.submit(moved)
      return moved
    },
  }
}

export function servicesAt(endpoint: string): PlcOperation['services'] {
  return { atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint } }
}

/** The server key is the signing key too, as it was in legacy logs. */
export async function enrolledLegacy(
  custody: Custody,
  name: string,
): Promise<{ did: string; cid: string }> {
  const user = await keyNamed(name)
  const operation = await signLegacy(
    {
      type: 'create',
      signingKey: custody.key.did,
      recoveryKey: user.did(),
      handle: `${name}.example.com`,
      service: PDS,
      prev: null,
    },
    user,
  )
  const signed = { did: didOfGenesis(operation), cid: cidOf(operation), operation }
  custody.directory.submit(signed)
  expect(await custody.enroll(signed.did)).toMatchObject({ kind: 'enrolled' })
  custody.directory.reads.length = 0
  return signed
}
