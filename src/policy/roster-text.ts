import type { Roster } from './roster.ts'

/** An epoch of officers as whoever signs it reads it, a line each. */
export function rosterLines({ epoch, env, rp, persons, digest }: Roster): string[] {
  return [
    `roster epoch ${epoch} (env: ${env}, passkeys at ${rp.id})`,
    ...persons.flatMap(({ id, org, roles, status, credentials }) => [
      `  ${id}  ${org}  ${roles.join(', ')}  ${status}`,
      ...credentials.map(
        ({ kind, id: name }) => `    ${kind === 'webauthn' ? 'passkey' : kind} ${name}`,
      ),
    ]),
    `digest ${Buffer.from(digest).toString('hex')}`,
  ]
}
