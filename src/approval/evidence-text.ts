import type { Evidence } from './evidence.ts'
import { ApprovalError } from './error.ts'

/** Evidence as JSON writes it: its bytes as base64url without padding. */
export type EvidenceText =
  | { readonly kind: 'did:key'; readonly did: string; readonly signature: string }
  | {
      readonly kind: 'webauthn'
      readonly credentialId: string
      readonly clientDataJSON: string
      readonly authenticatorData: string
      readonly signature: string
    }

export function evidenceToText(evidence: Evidence): EvidenceText {
  const signature = toText(evidence.signature)
  if (evidence.kind === 'did:key') return { ...evidence, signature }
  return {
    ...evidence,
    clientDataJSON: toText(evidence.clientDataJSON),
    authenticatorData: toText(evidence.authenticatorData),
    signature,
  }
}

/** One text for one piece of evidence. @throws ApprovalError `malformed` naming the field */
export function evidenceFromText(text: EvidenceText): Evidence {
  const signature = fromText('signature', text.signature)
  if (text.kind === 'did:key') return { ...text, signature }
  return {
    ...text,
    clientDataJSON: fromText('clientDataJSON', text.clientDataJSON),
    authenticatorData: fromText('authenticatorData', text.authenticatorData),
    signature,
  }
}

const toText = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')

function fromText(name: string, text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') === text) return new Uint8Array(bytes)
  throw new ApprovalError('malformed', `"${name}" must be canonical base64url`)
}
