import { credentialDid } from './roster.ts'
import type { Credential, Roster } from './roster.ts'

/** An epoch of officers as whoever signs it reads it, a line each; every key whole. */
export function rosterLines({ epoch, env, rp, persons, digest }: Roster): string[] {
  return [
    `roster epoch ${epoch} (env: ${env}, passkeys at ${rp.id})`,
    ...persons.flatMap(({ id, org, roles, status, credentials }) => [
      `  ${id}  ${org}  ${roles.join(', ')}  ${status}`,
      ...credentials.map(credentialLine),
    ]),
    `digest ${Buffer.from(digest).toString('hex')}`,
  ]
}

function credentialLine(credential: Credential): string {
  const { kind, id, until } = credential
  const name = kind === 'webauthn' ? 'passkey' : 'key'
  const end = new Date(until * 1_000).toISOString().slice(0, 10)
  return `    ${name} ${id}  ${credentialDid(credential)}  until ${end}`
}
