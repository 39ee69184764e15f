import { parseRotationKey } from '../plc/did-key.ts'
import { quoteText } from '../plc/text.ts'
import { PolicyError } from '../policy/error.ts'
import { parseStrictYaml } from '../policy/yaml.ts'
import { AuditError } from './error.ts'
import { COSIGNATURE, decodeBase64, ED25519, parseVkey } from './note.ts'
import type { NoteKey } from './note.ts'
import { HASH_BYTES } from './merkle.ts'
import { count, fieldsOf, list, text } from './read.ts'

/** What somebody trusts, from hands of their own and never from what they judge by it. */
export type TrustCard = {
  /** The key that signs the log's checkpoints; its name is the log's. null: the card is for a ceremony only. */
  readonly log: NoteKey | null
  readonly witnesses: readonly NoteKey[]
  /** Hex digests of the policy sets that may have been in force; null: any. */
  readonly policies: readonly string[] | null
  /** A state of the log that was seen before; null: none. */
  readonly seen: { readonly size: number; readonly root: Uint8Array } | null
  /** For whom a ceremony is: its environment, the did:key that signs, and the officers' hex digest. */
  readonly ceremony: {
    readonly env: 'prod' | 'rehearsal'
    readonly recovery: string
    readonly roster: string | null
  } | null
}

const FIELDS = ['trust', 'log', 'witnesses', 'policies', 'seen', 'ceremony']

/**
 * A trust card: strict YAML with `trust: holdfast/trust/v1`, `log: VKEY` (a card for a ceremony may do without), and if wanted `witnesses`
 * (vkeys), `policies` (hex), `seen` (`size`, and `root` in base64) and, for a ceremony, `ceremony` (`env`, the
 * did:key `recovery`, and the digest `roster` where there are officers).
 * @throws AuditError `malformed`, naming the field
 */
export function parseTrustCard(card: string): TrustCard {
  const fields = fieldsOf(parsed(card), 'the trust card')
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name))
  if (unknown !== undefined) throw malformed(`unknown field ${quoteText(unknown)}`)
  if (fields['trust'] !== 'holdfast/trust/v1') throw malformed('trust: must be holdfast/trust/v1')
  const { log, witnesses = [], policies, seen, ceremony } = fields
  return {
    log:
      log === undefined && ceremony !== undefined ? null : keyOf('log', text(log, 'log'), ED25519),
    witnesses: list(text)(witnesses, 'witnesses').map((vkey) =>
      keyOf('witnesses', vkey, COSIGNATURE),
    ),
    policies:
      policies === undefined
        ? null
        : list(text)(policies, 'policies').map((digest) => digestOf('policies', digest)),
    seen: seen === undefined ? null : seenOf(fieldsOf(seen, 'seen')),
    ceremony: ceremony === undefined ? null : ceremonyOf(fieldsOf(ceremony, 'ceremony')),
  }
}

/** For who judges a log. @throws AuditError `malformed` where the card names none */
export function logKeyOf({ log }: TrustCard): NoteKey {
  if (log === null) throw malformed('log: is missing; it is the key of the log')
  return log
}

function parsed(card: string): unknown {
  try {
    return parseStrictYaml(card, 'trust card')
  } catch (cause) {
    if (cause instanceof PolicyError) throw new AuditError('malformed', cause.message, { cause })
    throw cause
  }
}

function keyOf(where: string, vkey: string, type: NoteKey['type']): NoteKey {
  const key = parseVkey(vkey)
  if (key.type !== type) throw malformed(`${where}: a key of another kind: ${quoteText(vkey)}`)
  return key
}

function digestOf(where: string, digest: string): string {
  if (/^[0-9a-f]{64}$/.test(digest)) return digest
  throw malformed(`${where}: 64 digits of hex, in lower case`)
}

function ceremonyOf(fields: Record<string, unknown>): NonNullable<TrustCard['ceremony']> {
  const unknown = Object.keys(fields).find((name) => !['env', 'recovery', 'roster'].includes(name))
  if (unknown !== undefined) throw malformed(`ceremony: unknown field ${quoteText(unknown)}`)
  const env = text(fields['env'], 'ceremony.env')
  if (env !== 'prod' && env !== 'rehearsal') throw malformed('ceremony.env: prod or rehearsal')
  const { roster } = fields
  return {
    env,
    recovery: didKeyOf(text(fields['recovery'], 'ceremony.recovery')),
    roster:
      roster === undefined ? null : digestOf('ceremony.roster', text(roster, 'ceremony.roster')),
  }
}

function didKeyOf(did: string): string {
  try {
    parseRotationKey(did)
    return did
  } catch (cause) {
    throw new AuditError('malformed', 'trust card: ceremony.recovery: no did:key', { cause })
  }
}

function seenOf(fields: Record<string, unknown>): NonNullable<TrustCard['seen']> {
  const root = decodeBase64(text(fields['root'], 'seen.root'))
  if (root?.length !== HASH_BYTES || Object.keys(fields).length !== 2) {
    throw malformed('seen: size and root, 32 bytes in base64')
  }
  return { size: count(fields['size'], 'seen.size'), root: new Uint8Array(root) }
}

function malformed(message: string): AuditError {
  return new AuditError('malformed', `trust card: ${message}`)
}
