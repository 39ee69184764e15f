import { schemeOf } from '../../../src/signer/backends.ts'
import { UsageError } from '../command.ts'
import { filePlace } from './file-place.ts'
import { kmsPlace } from './kms-place.ts'
import type { PlaceKind } from './place-kind.ts'
import { tokenPlace } from './token-place.ts'

const kinds: readonly PlaceKind[] = [filePlace, tokenPlace, kmsPlace]

/** For `parseArgs`. */
export const placeOptions: Record<string, { type: 'string' }> = Object.fromEntries(
  kinds.flatMap(({ option }) => (option === null ? [] : [[option, { type: 'string' as const }]])),
)

export const placeUsage = kinds
  .flatMap(({ option }) => (option === null ? [] : [`--${option} URI`]))
  .join(' | ')

/** The place that the options name; without one the data directory. */
export function placeOf(
  values: Readonly<Record<string, unknown>>,
  usage: string,
): { readonly kind: PlaceKind; readonly uri: string } {
  const named = kinds.flatMap((kind) => {
    const uri = kind.option === null ? undefined : values[kind.option]
    return typeof uri === 'string' ? [{ kind, uri }] : []
  })
  const [place, another] = named
  if (another !== undefined) throw new UsageError(`${usage}\nname one place`)
  return place ?? { kind: filePlace, uri: 'file:' }
}

/** The kind of a home in `keys.yaml`; null for a scheme that has none here. */
export function kindOf(uri: string): PlaceKind | null {
  return kinds.find(({ scheme }) => scheme === schemeOf(uri)) ?? null
}
