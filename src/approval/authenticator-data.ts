import { broken } from './client-data.ts'
import { sha256 } from './statement.ts'

const MAX_AUTHENTICATOR_DATA_BYTES = 2048
/** rpIdHash (32), flags (1), signCount (4): WebAuthn level 3, section 6.1. */
export const HEAD_BYTES = 37
const FLAGS = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10, AT: 0x40, ED: 0x80 } as const
const RESERVED = 0x22

export type Flags = {
  readonly backupEligible: boolean
  readonly attested: boolean
  readonly extended: boolean
}

/**
 * The head that every answer of an authenticator has: for this RP ID, by somebody who was present and
 * verified. Counters are not judged: stored evidence must verify again at any later time.
 * @throws ApprovalError `bad-assertion`
 */
export function readFlags(data: Uint8Array, rpId: string): Flags {
  const flags = data[32] ?? 0
  const has = (flag: keyof typeof FLAGS) => (flags & FLAGS[flag]) !== 0
  if (data.length < HEAD_BYTES || data.length > MAX_AUTHENTICATOR_DATA_BYTES) {
    throw broken('its authenticatorData has a wrong length')
  }
  if ((flags & RESERVED) !== 0) throw broken('it has flags that nobody has')
  if (Buffer.compare(data.subarray(0, 32), sha256(Buffer.from(rpId, 'utf8'))) !== 0) {
    throw broken('its RP ID is not that of the roster')
  }
  if (!has('UP')) throw broken('nobody was present')
  if (!has('UV')) throw broken('the user was not verified')
  if (has('BS') && !has('BE')) throw broken('it is backed up, and not eligible for it')
  return { backupEligible: has('BE'), attested: has('AT'), extended: has('ED') }
}
