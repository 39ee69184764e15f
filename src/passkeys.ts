import { acceptanceChallenge, checkAcceptance, renderAcceptance } from './approval/acceptance.ts'
import type { Acceptance } from './approval/acceptance.ts'
import { passkeyDigest, passkeyFile, renderPasskeyFile } from './approval/passkey-file.ts'
import { readRegistration, registrationChallenge } from './approval/registration.ts'
import type { BrowserAnswer, OpenedLink, PasskeyLinks } from './api/passkey.ts'
import type { EcdsaVerify } from './plc/signature.ts'
import { decodeRoster } from './policy/parse/roster.ts'
import { rosterLines } from './policy/roster-text.ts'
import type { Sealer } from './sealing/sealer.ts'
import type { Database } from './store/database.ts'
import { answerInvitation, findInvitation } from './store/invitations.ts'
import type { Invitation } from './store/invitations.ts'

/** The service's half of one-time links. They give no right: what comes of them goes to the operator, and counts in a roster. */
export function createPasskeys(parts: {
  readonly db: Database
  readonly sealer: Sealer
  /** Where people reach the service. */
  readonly origin: string
  readonly verify: EcdsaVerify
}): PasskeyLinks {
  const { origin, verify } = parts
  const rp = { id: new URL(origin).hostname, origins: [origin] }
  return {
    open: async (token) => {
      const invitation = await findInvitation(parts, token)
      if (invitation === null) return null
      return invitation.does === 'register'
        ? registering(invitation.person, { token, rpId: rp.id })
        : accepting(invitation)
    },
    answer: async (token, given) => {
      const invitation = await findInvitation(parts, token)
      if (invitation === null) return null
      const { does, person } = invitation
      const made =
        invitation.does === 'register'
          ? registered(person, { given, token, rp })
          : await accepted(invitation, { given, verify })
      const isKept = await answerInvitation(parts, { token, answer: made.answer })
      return isKept ? { does, person, digest: made.digest } : null
    },
  }
}

type Accepting = Extract<Invitation, { does: 'accept' }>
type Made = { readonly answer: string; readonly digest: Uint8Array | null }

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
const bytes = (encoded: string) => new Uint8Array(Buffer.from(encoded, 'base64url'))

function registering(person: string, { token, rpId }: { token: string; rpId: string }): OpenedLink {
  const publicKey = {
    challenge: text(registrationChallenge(bytes(token))),
    rp: { id: rpId, name: 'Holdfast' },
    user: { id: text(Buffer.from(person)), name: person, displayName: person },
    pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    attestation: 'none',
  }
  return { does: 'register', person, publicKey, roster: null }
}

function accepting(invitation: Accepting): OpenedLink {
  const { person, credential } = invitation
  const roster = rosterOf(invitation)
  const publicKey = {
    challenge: text(acceptanceChallenge(roster.digest, invitation)),
    rpId: roster.rp.id,
    allowCredentials: [{ type: 'public-key', id: credential }],
    userVerification: 'required',
  }
  const shown = { lines: rosterLines(roster), digest: roster.digest }
  return { does: 'accept', person, publicKey, roster: shown }
}

function registered(
  person: string,
  asked: {
    readonly given: BrowserAnswer
    readonly token: string
    readonly rp: { id: string; origins: string[] }
  },
): Made {
  const { given, token, rp } = asked
  const attestationObject = 'attestationObject' in given ? given.attestationObject : ''
  const registration = {
    credentialId: given.id,
    clientDataJSON: bytes(given.clientDataJSON),
    attestationObject: bytes(attestationObject),
  }
  const challenge = registrationChallenge(bytes(token))
  const file = passkeyFile(person, readRegistration(registration, { challenge, rp }))
  return { answer: renderPasskeyFile(file), digest: passkeyDigest(file) }
}

async function accepted(
  invitation: Accepting,
  { given, verify }: { readonly given: BrowserAnswer; readonly verify: EcdsaVerify },
): Promise<Made> {
  const { person, credential } = invitation
  const roster = rosterOf(invitation)
  const { authenticatorData, signature } =
    'signature' in given ? given : { authenticatorData: '', signature: '' }
  const acceptance: Acceptance = {
    format: 'holdfast/roster-acceptance/v1',
    roster: Buffer.from(roster.digest).toString('hex'),
    person,
    credential,
    assertion: { clientDataJSON: given.clientDataJSON, authenticatorData, signature },
  }
  await checkAcceptance(acceptance, { roster, verify, at: new Date() })
  return { answer: renderAcceptance(acceptance), digest: null }
}

function rosterOf({ roster }: Accepting) {
  return decodeRoster(new Uint8Array(Buffer.from(roster, 'base64')))
}
