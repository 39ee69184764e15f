import { hash } from 'node:crypto'
import { z } from 'zod'
import { parseDocument, renderDocument } from '../ceremony/document.ts'
import type { SignedDocument } from '../ceremony/document.ts'
import { environments } from '../ceremony/env.ts'
import { RecoveryError } from './error.ts'

/** What may be done to an identity, each under a name that people review: nothing else is derived. */
export const transformations = ['replace-server-key'] as const
export type Transformation = (typeof transformations)[number]

/**
 * Why an account gets no operation.
 * - `not-registered`: the directory does not know it
 * - `unread`: its log could not be read when the recovery was planned
 * - `invalid-log`: the log breaks a rule of the method
 * - `tombstoned`: the identity has ended
 * - `already-replaced`: the new key is there and the lost one is not
 * - `lost-key-not-listed`: it does not depend on the lost key
 * - `recovery-key-not-listed`: nothing that we have can save it
 * - `limits`: the operation would break a limit of the directory
 */
export const exclusions = [
  'not-registered',
  'unread',
  'invalid-log',
  'tombstoned',
  'already-replaced',
  'lost-key-not-listed',
  'recovery-key-not-listed',
  'limits',
] as const
export type Exclusion = (typeof exclusions)[number]

/** What a plan may say in the place of a log. */
export const absences = ['not-registered', 'unread'] as const
export type Absence = (typeof absences)[number]

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex')
const count = z.int().nonnegative()
const didKey = z.string().regex(/^did:key:z[1-9A-HJ-NP-Za-km-z]{48}$/, 'must be a did:key')

const schema = z.strictObject({
  format: z.literal('holdfast/recovery-intent/v1'),
  env: z.enum(environments),
  /** Drawn for this ceremony: what was signed for another is nothing here. */
  ceremony: z.string().regex(/^[0-9a-f]{32}$/, 'must be 16 bytes in hex'),
  made: z.iso.datetime(),
  /** Who planned it, by the id in the roster; null where the policies name no officers. */
  planner: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
    .nullable(),
  /** Where officers reach the service: what they sign for another one is nothing here. */
  audience: z.string().min(1).max(256),
  transformation: z.enum(transformations),
  /** The server's key that is gone. */
  lost: didKey,
  /** The key that signs. */
  recovery: didKey,
  /** The server's new key. It signs the intent, which proves that somebody has it. */
  did: didKey,
  /** Of the file `accounts`. */
  accounts: z.strictObject({ count, sha256 }),
  /** Of the file `evidence.jsonl`. */
  evidence: z.strictObject({ bytes: count, sha256 }),
  /** What follows from the evidence: whoever signs derives it again and must come to the same. */
  operations: z.strictObject({ count, sha256 }),
  excluded: z.strictObject(
    Object.fromEntries(exclusions.map((reason) => [reason, count])) as Record<Exclusion, z.ZodInt>,
  ),
  /** Digests of the policies and officers under which it is approved; null where there are no officers. */
  policies: sha256,
  roster: sha256.nullable(),
  proof: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
})

/** What a ceremony is to do, committing to every account and every operation. JSON, signed by the new key. */
export type Intent = Readonly<z.infer<typeof schema>> & SignedDocument

export const INTENT_FILE = 'intent.json'

/** Well-formed; its proof is still to be checked. @throws DocumentError, RecoveryError `bundle-malformed` */
export function parseIntent(text: string): Intent {
  const intent = parseDocument(schema, text, INTENT_FILE)
  const { lost, recovery, did } = intent
  if (new Set([lost, recovery, did]).size < 3) {
    throw malformed('the lost key, the new key and the recovery key must be three keys')
  }
  const excluded = exclusions.reduce((sum, reason) => sum + intent.excluded[reason], 0)
  if (excluded + intent.operations.count !== intent.accounts.count) {
    throw malformed('operations and exclusions do not add up to the accounts')
  }
  return intent
}

/** SHA-256, 32 bytes, of the one text of an intent, its proof included: what people compare as words. */
export function intentDigest(intent: Intent): Uint8Array {
  return new Uint8Array(hash('sha256', renderDocument(intent), 'buffer'))
}

function malformed(message: string): RecoveryError {
  return new RecoveryError('bundle-malformed', `${INTENT_FILE}: ${message}`)
}
