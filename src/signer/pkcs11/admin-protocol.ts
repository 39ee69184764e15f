import { z } from 'zod'
import type { Curve } from '../../plc/did-key.ts'
import type { KeyMatch, TokenMatch } from './uri.ts'

/** One of these for each child, after its login. */
export type AdminCommand =
  | {
      readonly kind: 'create'
      readonly label: string
      readonly id: Uint8Array
      readonly curve: Curve
    }
  | {
      readonly kind: 'import'
      readonly label: string
      readonly id: Uint8Array
      readonly curve: Curve
      /** 32 bytes. */
      readonly secret: Uint8Array
      /** 65 bytes. */
      readonly point: Uint8Array
    }
  | { readonly kind: 'list' }
  /** Signs the probe of this nonce, and nothing else. */
  | { readonly kind: 'prove'; readonly match: KeyMatch; readonly nonce: Uint8Array }

export type ToAdminChild =
  | { readonly kind: 'open'; readonly modulePath: string; readonly token: TokenMatch }
  | { readonly kind: 'login'; readonly pin: Uint8Array }
  | { readonly kind: 'run'; readonly command: AdminCommand }

const bytes = (max: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= max)
const text = z.string().max(1024)
const answer = z.boolean().nullable()

/** What a token says of a private key; null: it does not say. */
const keyFacts = z.strictObject({
  label: text,
  id: bytes(256),
  /** Of CKA_EC_PARAMS; null for other keys. */
  curve: z.enum(['K-256', 'P-256']).nullable(),
  /** 65 bytes; null without a public key object. Not checked to be on the curve. */
  point: bytes(65).nullable(),
  private: answer,
  sign: answer,
  sensitive: answer,
  extractable: answer,
  alwaysAuthenticate: answer,
  decrypt: answer,
  unwrap: answer,
  derive: answer,
  local: answer,
  alwaysSensitive: answer,
  neverExtractable: answer,
})
export type KeyFacts = Readonly<z.infer<typeof keyFacts>>

const failure = z.strictObject({
  step: text,
  ckr: z.int().nonnegative().nullable(),
  kind: z.enum(['reopen', 'reinit', 'latch', 'discard', 'busy', 'configuration']),
  message: text,
})

const fromAdminChild = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('found'),
    serial: text,
    needsLogin: z.boolean(),
    pin: z.enum(['ok', 'final-try', 'locked']),
  }),
  z.strictObject({
    kind: z.literal('login-answer'),
    failure: failure.nullable(),
    tried: z.boolean(),
  }),
  z.strictObject({
    kind: z.literal('result'),
    /** All that match: for `create` and `import` none when the label or id was taken. */
    keys: z.array(keyFacts),
    signature: bytes(256).nullable(),
  }),
  z.strictObject({ kind: z.literal('failed'), failure }),
])
export type FromAdminChild = z.infer<typeof fromAdminChild>

/** @throws ZodError for anything that the child does not say */
export function parseFromAdminChild(message: unknown): FromAdminChild {
  return fromAdminChild.parse(message)
}
