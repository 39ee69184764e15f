import { parseArgs } from 'node:util'
import { listContacts, removeContact, setContact } from '../../src/store/notices.ts'
import { UsageError, print, printJson, withContext } from './command.ts'
import type { Command } from './command.ts'

const usage =
  'officers list | officers contact PERSON --email ADDRESS | officers contact PERSON --remove | ' +
  'officers add PERSON --did DID-KEY|--passkey FILE … | officers remove PERSON … [--json]'

export const officers: Command = async ([verb, ...args]) => {
  switch (verb) {
    case 'list':
      return await list(args)
    case 'add':
    case 'remove':
      return await (await import('./trust/change-roster.ts')).changeRoster(verb, args)
    case 'contact':
      return await contact(args)
    default:
      throw new UsageError(usage)
  }
}

async function list(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean' } } })
  return await withContext(async ({ db, policies }) => {
    const contacts = await listContacts(db)
    const emailOf = (id: string) => contacts.find(({ person }) => person === id)?.email ?? null
    const persons = (policies.roster?.persons ?? []).map((person) => ({
      id: person.id,
      org: person.org,
      roles: person.roles,
      status: person.status,
      credentials: person.credentials.map(({ kind, id }) => ({ kind, id })),
      email: emailOf(person.id),
    }))
    if (values.json === true) printJson({ epoch: policies.roster?.epoch ?? null, persons })
    else if (persons.length === 0) print('no roster.yaml: this policy set has no officers')
    else {
      for (const { id, org, roles, status, credentials, email } of persons)
        print(
          `${id}  ${org}  ${roles.join(', ')}  ${status}  ${credentials.length} credentials  ${email ?? 'no address'}`,
        )
    }
    return 0
  })
}

/** An address stands in the database alone, in one table, so that it can be taken out at any time. */
async function contact(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      email: { type: 'string' },
      remove: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const [person, extra] = positionals
  const { email, remove = false } = values
  if (person === undefined || extra !== undefined || (email === undefined) !== remove) {
    throw new UsageError(usage)
  }
  if (email !== undefined && !/^[^\s@<>",;]{1,64}@[^\s@<>",;]{1,189}$/.test(email)) {
    throw new UsageError(`${usage}\n--email: write a plain address: name@example.com`)
  }
  return await withContext(async ({ db, policies }) => {
    if (email === undefined) {
      const gone = await removeContact(db, person)
      print(gone ? `${person} has no address any more` : `${person} had no address`)
      return gone ? 0 : 1
    }
    if (policies.roster?.persons.some(({ id }) => id === person) !== true) {
      process.stderr.write(`roster.yaml names no person ${person}\n`)
      return 1
    }
    await setContact(db, { person, email })
    print(`${person} is told by mail from now on`)
    return 0
  })
}
