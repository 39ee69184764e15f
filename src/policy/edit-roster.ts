import { isMap, isSeq, parseDocument } from 'yaml'
import type { Document, YAMLMap, YAMLSeq } from 'yaml'
import { PolicyError } from './error.ts'
import { personOf } from './roster.ts'
import type { Role, Roster } from './roster.ts'

/** A person who comes in, or one more key of a person who is there; or somebody who leaves for good. */
export type RosterEdit =
  | {
      readonly kind: 'add'
      readonly person: string
      /** Of somebody new; a person who is there keeps their own. */
      readonly org: string | null
      readonly roles: readonly Role[]
      readonly credential: NewCredential
    }
  | { readonly kind: 'remove'; readonly person: string }

/** As roster.yaml writes it, times too. */
export type NewCredential = {
  readonly id: string
  readonly from: string
  readonly until: string
} & (
  | { readonly kind: 'did:key'; readonly did: string }
  | {
      readonly kind: 'webauthn'
      readonly key: string
      readonly aaguid: string
      readonly backupEligible: boolean
    }
)

/**
 * The text of roster.yaml as the epoch after `roster`, which it is the text of; comments stay. What it says is
 * checked by who parses it.
 * @throws PolicyError `file-malformed` for an edit that changes nothing or cannot be
 */
export function editRoster(text: string, roster: Roster, edit: RosterEdit): string {
  const document = parseDocument(text, { version: '1.2', schema: 'core' })
  const persons = document.get('persons')
  if (!isMap(document.contents) || !isSeq(persons)) throw refused('is not a roster')
  toNextEpoch(document, document.contents, roster)
  if (edit.kind === 'add') add(document, persons as YAMLSeq<YAMLMap>, { roster, edit })
  else remove(document, persons as YAMLSeq<YAMLMap>, { roster, edit })
  return document.toString({ lineWidth: 0, flowCollectionPadding: true })
}

function toNextEpoch(document: Document, content: YAMLMap, { epoch, digest }: Roster): void {
  document.set('epoch', epoch + 1)
  content.delete('previous')
  const at = content.items.findIndex(({ key }) => String(key) === 'epoch')
  const previous = document.createPair('previous', Buffer.from(digest).toString('hex'))
  content.items.splice(at + 1, 0, previous as (typeof content.items)[number])
}

type Editing<K> = { readonly roster: Roster; readonly edit: Extract<RosterEdit, { kind: K }> }

function add(
  document: Document,
  persons: YAMLSeq<YAMLMap>,
  { roster, edit }: Editing<'add'>,
): void {
  const { person: id, org, roles, credential } = edit
  const known = personOf(roster, id)
  const own = document.createNode(credential)
  if (known === null) {
    if (org === null) throw refused(`${id} is new here, and needs an organisation`)
    persons.add(document.createNode({ id, org, roles, status: 'active', credentials: [own] }))
    return
  }
  if (known.status === 'removed') throw refused(`${id} was removed for good; give a new id`)
  if (org !== null && org !== known.org) throw refused(`${id} is of ${known.org}`)
  const credentials = nodeOf(persons, id).get('credentials')
  if (!isSeq(credentials)) throw refused(`person ${id}: credentials are no list`)
  credentials.add(own)
}

function remove(
  document: Document,
  persons: YAMLSeq<YAMLMap>,
  { roster, edit: { person: id } }: Editing<'remove'>,
): void {
  if (personOf(roster, id)?.status !== 'active') throw refused(`names no active person ${id}`)
  const node = nodeOf(persons, id)
  node.set('status', 'removed')
  node.set('credentials', document.createNode([]))
}

function nodeOf(persons: YAMLSeq<YAMLMap>, id: string): YAMLMap {
  const node = persons.items.find((each) => isMap(each) && each.get('id') === id)
  if (node === undefined) throw refused(`names no person ${id}`)
  return node
}

function refused(reason: string): PolicyError {
  return new PolicyError('file-malformed', `roster.yaml: ${reason}`)
}
