import { z } from 'zod'

const part = (bytes: number) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/)
    .max(Math.ceil((bytes * 4) / 3))
// 32 bytes: it stands behind the # of the link, and so in no log of a server.
const token = z.string().regex(/^[A-Za-z0-9_-]{43}$/)
/** What the page of a link sends first. */
export const linkOpening = z.strictObject({ token })
/** And then, with what the browser made. */
export const linkAnswer = z
  .union([
    z.strictObject({
      token,
      id: part(1023),
      clientDataJSON: part(4096),
      attestationObject: part(16_384),
    }),
    z.strictObject({
      token,
      id: part(1023),
      clientDataJSON: part(4096),
      authenticatorData: part(2048),
      signature: part(96),
    }),
  ])
  .transform(({ token: of, ...made }) => ({ token: of, made }))

/** What a browser made, each part base64url: a passkey, or a signature by one. */
export type BrowserAnswer = { readonly id: string; readonly clientDataJSON: string } & (
  | { readonly attestationObject: string }
  | { readonly authenticatorData: string; readonly signature: string }
)

type Does = 'register' | 'accept'

/** What whoever opens a link is to do; `publicKey` is for the browser (WebAuthn level 3, section 5.1). */
export type OpenedLink = {
  readonly does: Does
  readonly person: string
  readonly publicKey: object
  /** What they sign, as text to read, and its digest; null where they make a passkey. */
  readonly roster: { readonly lines: readonly string[]; readonly digest: Uint8Array } | null
}

export type AnsweredLink = {
  readonly does: Does
  readonly person: string
  /** Of the new passkey, for its words; null where a roster was signed. */
  readonly digest: Uint8Array | null
}

/** What stands behind the links. */
export type PasskeyLinks = {
  /** null: no such link, used already, or its time is over. */
  readonly open: (token: string) => Promise<OpenedLink | null>
  /** @throws ApprovalError for what no passkey answers to this */
  readonly answer: (token: string, given: BrowserAnswer) => Promise<AnsweredLink | null>
}
