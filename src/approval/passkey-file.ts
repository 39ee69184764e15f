import { z } from 'zod'
import { coseKeyDid } from '../policy/roster.ts'
import { ApprovalError } from './error.ts'
import { jsonOf } from './json.ts'
import type { Passkey } from './registration.ts'
import { sha256 } from './statement.ts'

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/)
const schema = z.strictObject({
  format: z.literal('holdfast/passkey/v1'),
  person: z.string().min(1).max(63),
  id: base64url.max(1364),
  /** COSE_Key, base64url. */
  key: base64url.max(256),
  aaguid: z.string().max(36),
  backupEligible: z.boolean(),
})

/** A passkey that somebody has made, on its way into a roster. */
export type PasskeyFile = z.infer<typeof schema>

export const MAX_PASSKEY_FILE_BYTES = 4096

export function passkeyFile(person: string, passkey: Passkey): PasskeyFile {
  const { id, key, aaguid, backupEligible } = passkey
  const encoded = Buffer.from(key).toString('base64url')
  return { format: 'holdfast/passkey/v1', person, id, key: encoded, aaguid, backupEligible }
}

export function renderPasskeyFile(file: PasskeyFile): string {
  return `${JSON.stringify(file, null, 2)}\n`
}

/** @throws ApprovalError `malformed` */
export function parsePasskeyFile(text: string): PasskeyFile {
  const parsed = schema.safeParse(jsonOf(text))
  if (parsed.success && coseKeyDid(Buffer.from(parsed.data.key, 'base64url')) !== null) {
    return parsed.data
  }
  throw new ApprovalError(
    'malformed',
    'is no passkey: officers invited PERSON --out FILE makes one',
  )
}

/** What its words are of: the person, and the passkey with its key. */
export function passkeyDigest(file: PasskeyFile): Uint8Array {
  return sha256(Buffer.from(renderPasskeyFile(file)))
}
