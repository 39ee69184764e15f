import { parseArgs } from 'node:util'
import { publicOrigin } from '../../../src/config.ts'
import { rosterBytes } from '../../../src/policy/parse/roster.ts'
import { personOf } from '../../../src/policy/roster.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { invite as addInvitation } from '../../../src/store/invitations.ts'
import type { Invitation } from '../../../src/store/invitations.ts'
import { Refusal } from '../../offline/refusal.ts'
import { UsageError, print, printJson, withContext } from '../command.ts'

export const inviteUsage =
  'officers invite PERSON [--accept [--credential ID]] [--json]   a link that works once, for 15 minutes: to make a passkey, or to sign the roster with it'

/** The service serves the page behind the link; of the link it keeps a hash. */
export async function invite(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      accept: { type: 'boolean', default: false },
      credential: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [person, extra] = positionals
  const { accept, credential = null, json } = values
  if (person === undefined || extra !== undefined || (credential !== null && !accept)) {
    throw new UsageError(inviteUsage)
  }
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(person)) {
    throw new UsageError(`${inviteUsage}\nPERSON: an id as roster.yaml writes it`)
  }
  return await withContext(async ({ db, sealer, config, policies, candidate }) => {
    const invitation: Invitation = accept
      ? toAccept((candidate ?? policies).roster, { person, credential })
      : { person, does: 'register' }
    const { token, until } = await addInvitation({ db, sealer }, invitation)
    const link = `${publicOrigin(config)}/console/passkey#${token}`
    if (json) printJson({ person, does: invitation.does, link, until: until.toISOString() })
    else {
      print(link)
      const what = accept ? 'signs the roster with it' : 'makes a passkey with it'
      print(
        `Whoever opens this ${what}, once, until ${until.toISOString()}: give it to ${person} alone.`,
      )
      print(`Then: scripts/holdfast officers invited ${person}`)
    }
    return 0
  })
}

/** What the files say is what is signed: who made the link has them before them. */
function toAccept(
  roster: Roster | null,
  { person: id, credential }: { readonly person: string; readonly credential: string | null },
): Invitation {
  if (roster === null) throw new Refusal('there is no roster.yaml: this policy set has no officers')
  const person = personOf(roster, id)
  if (person === null) throw new Refusal(`roster.yaml names no person ${id}`)
  const passkeys = person.credentials.filter(({ kind }) => kind === 'webauthn').map((own) => own.id)
  const [only, ...more] = credential === null ? passkeys : [credential]
  if (only === undefined || !passkeys.includes(only)) {
    throw new Refusal(`roster.yaml gives ${id} no such passkey; with a did:key: officers accept`)
  }
  if (more.length > 0) {
    throw new Refusal(
      `${id} has ${passkeys.length} passkeys: --credential, one of ${passkeys.join(', ')}`,
    )
  }
  const bytes = Buffer.from(rosterBytes(roster)).toString('base64')
  return { person: id, does: 'accept', credential: only, roster: bytes }
}
