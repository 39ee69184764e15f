import { readFileSync } from 'node:fs'

/** See `vectors/README.md`. Hashes are base64. */
type Vectors = {
  readonly roots: readonly { size: number; root: string }[]
  readonly inclusions: readonly { index: number; size: number; proof: string[] }[]
  readonly consistencies: readonly { from: number; to: number; proof: string[] }[]
  readonly tiles: readonly {
    path: string
    level: number
    index: number
    width: number
    sha256: string
  }[]
  /** As Go has it: level -1 is for bundles. */
  readonly paths: Readonly<Record<string, { L: number; N: number; W: number }>>
  readonly bundle: string
  readonly origin: string
  readonly seed: string
  readonly vkey: string
  readonly witness: string
  readonly checkpoint: string
  readonly cosigned: string
  readonly withStranger: string
  readonly proof: string
  readonly proofWithExtra: string
  readonly proofIndex: number
}

export const vectors = JSON.parse(
  readFileSync(new URL('./vectors/vectors.json', import.meta.url), 'utf8'),
) as Vectors

export const LARGE = 70_000

export const entryAt = (index: number): Uint8Array => Buffer.from(`entry ${index}`)

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

export const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
