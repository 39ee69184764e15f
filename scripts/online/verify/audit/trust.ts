import { readFileSync } from 'node:fs'
import { openCheckpoint } from '../../../../src/audit/checkpoint.ts'
import type { VerifiedCheckpoint } from '../../../../src/audit/checkpoint.ts'
import { parseVkey } from '../../../../src/audit/note.ts'
import type { NoteKey } from '../../../../src/audit/note.ts'
import { logKeyOf, parseTrustCard } from '../../../../src/audit/trust-card.ts'
import type { TrustCard } from '../../../../src/audit/trust-card.ts'
import type { Anchor } from '../../../../src/audit/verify/verify-log.ts'
import { verifyEd25519 } from '../../../../src/ed25519/openssl.ts'
import { decodeHeld } from '../../../../src/sequencer/held.ts'
import { readIn } from './folder.ts'

export type Options = {
  readonly dir: string
  /** Paths; null: not given. */
  readonly trust: string | null
  readonly checkpoint: string | null
  /** Seconds. */
  readonly maxAge: number
}

export type Trust = {
  readonly card: TrustCard | null
  readonly key: NoteKey
  readonly checkpoint: VerifiedCheckpoint
  readonly anchors: readonly Anchor[]
  /** Why nothing says that no tail was cut off; null: something does. */
  readonly unanchored: string | null
}

/**
 * The checkpoint of an export, opened with the auditor's own key where there is a card, and what the
 * auditor knows of the log besides.
 * @throws AuditError of a checkpoint or card; Error where a file is missing
 */
export function openTrust({ dir, trust, checkpoint, maxAge }: Options, now: number): Trust {
  const card = trust === null ? null : parseTrustCard(readFileSync(trust, 'utf8'))
  const key = card === null ? parseVkey(needed(dir, 'log.vkey').trim()) : logKeyOf(card)
  const keys = [key, ...(card?.witnesses ?? [])]
  const opened = openCheckpoint(Buffer.from(needed(dir, 'checkpoint')), keys, verifyEd25519)
  const cosigned = cosignedIn(dir, keys)
  const anchors = [
    ...(cosigned === null ? [] : [{ ...cosigned, name: 'the cosigned checkpoint' }]),
    ...(card?.seen ? [{ name: 'the trust card', ...card.seen }] : []),
    ...(checkpoint === null ? [] : [keptAnchor(checkpoint, keys)]),
  ]
  return {
    card,
    key,
    checkpoint: opened,
    anchors,
    unanchored: lacking([opened, ...(cosigned === null ? [] : [cosigned])], {
      kept: anchors.length > (cosigned === null ? 0 : 1),
      maxAge,
      now,
    }),
  }
}

/**
 * What witnesses of the card have cosigned, beside an export: a state of the log that they vouch for.
 * null: there is no such file, or the card names no witness.
 */
function cosignedIn(dir: string, keys: readonly NoteKey[]): VerifiedCheckpoint | null {
  const file = keys.length > 1 ? readIn(dir, 'cosigned') : null
  if (file === null) return null
  const opened = openCheckpoint(file, keys, verifyEd25519)
  return opened.cosignatures.length === 0 ? null : opened
}

function lacking(
  seen: readonly VerifiedCheckpoint[],
  input: { kept: boolean; maxAge: number; now: number },
): string | null {
  if (input.kept) return null
  const times = seen.flatMap(({ cosignatures }) => cosignatures.map(({ time }) => time))
  if (times.some((time) => time >= input.now - input.maxAge)) return null
  return (
    'nothing from elsewhere says how long the log is: give --checkpoint with one that you kept, ' +
    'or a trust card that names a state seen before or witnesses'
  )
}

/** A checkpoint that was kept, or a held record. */
function keptAnchor(path: string, keys: readonly NoteKey[]): Anchor {
  const bytes = readFileSync(path)
  const name = 'the kept checkpoint'
  if (bytes[0] === 0x7b) {
    const { size, root } = decodeHeld(bytes.toString('utf8'), path)
    return { name, size, root }
  }
  const { size, root } = openCheckpoint(bytes, keys, verifyEd25519)
  return { name, size, root }
}

function needed(dir: string, path: string): string {
  const found = readIn(dir, path)
  if (found === null) throw new Error(`${dir} has no file ${JSON.stringify(path)}`)
  return Buffer.from(found).toString('utf8')
}
