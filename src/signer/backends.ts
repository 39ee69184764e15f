import type { EcdsaVerify } from '../plc/signature.ts'
import { homesOf } from '../policy/policy-set.ts'
import type { KeyConfig } from '../policy/policy-set.ts'
import type { Backend, PlaceHealth } from './backend.ts'
import { createHomes } from './homes.ts'
import type { Home, Homes, TakeOver } from './homes.ts'
import { SignerError } from './signer.ts'
import type { Signer } from './signer.ts'

/** All keys of a service, wherever they live. */
export type Backends = {
  /**
   * The signer for a key of `keys.yaml`, each of its homes opened and proven to hold the pinned key.
   * @throws SignerError `key-unusable`
   */
  open(key: KeyConfig): Promise<Signer>
  health(): readonly (PlaceHealth & { readonly backend: string })[]
  /** What should be looked at although everything can be signed; without names. */
  warnings(): readonly string[]
  close(): Promise<void>
}

export type BackendsOptions = {
  readonly verify: EcdsaVerify
  /** Another home of a key signs from now on. */
  readonly onTakeOver: (key: KeyConfig, change: TakeOver) => void
  /** Put around each home, by what measures it. */
  readonly wrap?: (signer: Signer, uri: string) => Signer
}

/** @param schemes backends by the scheme of the URIs that they open */
export function createBackends(
  schemes: Readonly<Record<string, Backend>>,
  { verify, onTakeOver, wrap = (signer) => signer }: BackendsOptions,
): Backends {
  const withHomes: Homes[] = []

  async function openHome(key: KeyConfig, uri: string): Promise<Home> {
    const signer = await backendOf(schemes, key, uri).openSigner(key, uri)
    return { name: nameOfHome(uri), signer: wrap(signer, uri) }
  }

  async function openHomes(key: KeyConfig): Promise<Home[]> {
    const homes: Home[] = []
    try {
      for (const uri of homesOf(key)) homes.push(await openHome(key, uri))
      return homes
    } catch (error) {
      await Promise.all(homes.map(async ({ signer }) => await signer.close()))
      throw error
    }
  }

  return {
    open: async (key) => {
      const homes = await openHomes(key)
      const [first] = homes
      if (first === undefined) throw unknownPlace(schemes, key, null)
      if (homes.length === 1) return first.signer
      const opened = createHomes(homes, { verify, report: (change) => onTakeOver(key, change) })
      withHomes.push(opened)
      return opened
    },
    health: () =>
      Object.entries(schemes).flatMap(([name, backend]) =>
        backend.health().map((place) => ({ backend: name, ...place })),
      ),
    warnings: () => [...new Set(withHomes.flatMap((homes) => homes.warnings()))],
    close: async () => {
      await Promise.all(Object.values(schemes).map(async (backend) => await backend.close()))
    },
  }
}

/** For records and operators: a URI without what only its module needs. */
export function nameOfHome(uri: string): string {
  return uri.replace(/\?.*$/s, '')
}

/** `file:` of `file:pds`; empty when there is none. */
export function schemeOf(uri: string): string {
  return /^[a-z][a-z0-9]*(?=:)/.exec(uri)?.[0] ?? ''
}

function backendOf(
  schemes: Readonly<Record<string, Backend>>,
  key: KeyConfig,
  uri: string,
): Backend {
  const scheme = schemeOf(uri)
  const backend = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined
  if (backend === undefined) throw unknownPlace(schemes, key, uri)
  return backend
}

function unknownPlace(schemes: object, key: KeyConfig, uri: string | null): SignerError {
  const known = Object.keys(schemes).map((scheme) => `${scheme}:`)
  return new SignerError(
    'key-unusable',
    `keys.yaml: key ${key.id}: uri ${JSON.stringify(uri)} names no backend of this version; known are ${known.join(', ')}`,
  )
}
