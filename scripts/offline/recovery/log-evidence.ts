import { openCheckpoint } from '../../../src/audit/checkpoint.ts'
import { MAX_NOTE_BYTES } from '../../../src/audit/note.ts'
import { logKeyOf, parseTrustCard } from '../../../src/audit/trust-card.ts'
import { verifyEd25519 } from '../../../src/ed25519/openssl.ts'
import { readBounded, readText } from '../command.ts'

/** A state of the audit log that was brought into the room. Nothing is signed or refused because of it. */
export type LogEvidence = {
  readonly origin: string
  readonly size: number
  /** Witnesses of the trust card who vouch for it. */
  readonly cosigned: readonly { readonly witness: string; readonly at: string }[]
}

/**
 * On the day of a loss a witness may be gone, and the log with it: so what is there is shown, and what is not is
 * called absent.
 * @throws AuditError for a checkpoint that the card's log has not signed
 */
export async function readLogEvidence(path: string, card: string): Promise<LogEvidence> {
  const trust = parseTrustCard(await readText(card))
  const keys = [logKeyOf(trust), ...trust.witnesses]
  const note = await readBounded(path, MAX_NOTE_BYTES)
  const { origin, size, cosignatures } = openCheckpoint(note, keys, verifyEd25519)
  const cosigned = cosignatures.map(({ key, time }) => ({
    witness: key.name,
    at: new Date(time * 1_000).toISOString(),
  }))
  return { origin, size, cosigned }
}

export function evidenceText(evidence: LogEvidence | null): string {
  if (evidence === null) return 'audit log: ABSENT, no checkpoint of it was brought (--checkpoint)'
  const { origin, size, cosigned } = evidence
  const by = cosigned.map(({ witness, at }) => `${witness} at ${at}`).join(', ')
  const vouched =
    by === '' ? 'ABSENT: cosigned by no witness of the trust card' : `cosigned by ${by}`
  return `audit log: ${size} entries of ${origin}; ${vouched}`
}
