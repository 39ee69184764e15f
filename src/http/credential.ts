/** A caller's access key in the clear, as the store gives it. `tokenHash` is the SHA-256 of the `/v1` token's characters. */
export type Credential = {
  readonly caller: string
  readonly accessKeyId: string
  readonly secret: string
  readonly tokenHash: Uint8Array
}

/**
 * `null`: unknown or revoked. Throws when nobody can say, and must settle within a deadline of its own:
 * the doors wait for it.
 */
export type FindCredential = (accessKeyId: string) => Promise<Credential | null>

/** AWS's own bounds. Checked before any look-up, so that no stranger chooses what the database is asked. */
export const ACCESS_KEY_ID = '[A-Za-z0-9_]{16,128}'
