import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** What a sealed value is; each purpose has a key of its own, derived from the one secret. */
export const sealPurposes = ['caller-secret', 'file-key', 'asked', 'invitation'] as const
export type SealPurpose = (typeof sealPurposes)[number]

/** What is marked: rows, each kind with a key of its own. */
export const markPurposes = ['identity', 'operation', 'request'] as const
export type MarkPurpose = (typeof markPurposes)[number]

export type Sealer = {
  /** `context` is authenticated, not stored: a value opens only where it belongs. */
  seal(purpose: SealPurpose, context: readonly string[], plain: Uint8Array): Uint8Array
  /** @throws SealError when the secret, the purpose or the context is another, or a bit has changed */
  open(purpose: SealPurpose, context: readonly string[], sealed: Uint8Array): Buffer
  /** HMAC-SHA256 of a context, 32 bytes: proves it where nothing is kept secret, at a fifth of the cost. */
  mark(purpose: MarkPurpose, context: readonly string[]): Buffer
  isMarked(purpose: MarkPurpose, context: readonly string[], mark: Uint8Array): boolean
}

export class SealError extends Error {
  override readonly name = 'SealError'
}

export const SECRET_BYTES = 32
const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * AES-256-GCM with a random nonce under keys from HKDF-SHA256 (RFC 5869). Sealed form:
 * version (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
 */
export function createSealer(secret: Uint8Array): Sealer {
  if (secret.length !== SECRET_BYTES)
    throw new SealError(`the secret must be ${SECRET_BYTES} bytes`)
  const keys = Object.fromEntries(
    sealPurposes.map((purpose) => [purpose, deriveKey(secret, purpose)]),
  ) as Record<SealPurpose, Buffer>
  // Objects: from bytes, each use would cost five times as much.
  const markKeys = Object.fromEntries(
    markPurposes.map((purpose) => [purpose, createSecretKey(deriveKey(secret, `mark/${purpose}`))]),
  ) as Record<MarkPurpose, KeyObject>
  const mark = (purpose: MarkPurpose, context: readonly string[]) =>
    createHmac('sha256', markKeys[purpose]).update(associatedData(context)).digest()
  return {
    mark,
    isMarked(purpose, context, given) {
      const own = mark(purpose, context)
      return given.length === own.length && timingSafeEqual(own, given)
    },
    seal(purpose, context, plain) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keys[purpose], nonce, {
        authTagLength: TAG_BYTES,
      })
      cipher.setAAD(associatedData(context))
      const body = Buffer.concat([cipher.update(plain), cipher.final()])
      return Buffer.concat([Buffer.of(VERSION), nonce, body, cipher.getAuthTag()])
    },
    open(purpose, context, sealed) {
      if (sealed.length < 1 + NONCE_BYTES + TAG_BYTES || sealed[0] !== VERSION) {
        throw new SealError('not a sealed value of this version')
      }
      const nonce = sealed.subarray(1, 1 + NONCE_BYTES)
      const cipher = createDecipheriv('aes-256-gcm', keys[purpose], nonce, {
        authTagLength: TAG_BYTES,
      })
      cipher.setAAD(associatedData(context))
      cipher.setAuthTag(sealed.subarray(-TAG_BYTES))
      try {
        return Buffer.concat([
          cipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES)),
          cipher.final(),
        ])
      } catch (cause) {
        throw new SealError('does not open: another secret, another place, or changed bytes', {
          cause,
        })
      }
    },
  }
}

function deriveKey(secret: Uint8Array, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `holdfast/seal/v1/${purpose}`, 32))
}

/** JSON quotes each part, so no two contexts have the same bytes. */
function associatedData(context: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(context), 'utf8')
}
