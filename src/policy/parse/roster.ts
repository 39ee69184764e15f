import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { parseRotationKey } from '../../plc/did-key.ts'
import type { KeyConfig } from '../policy-set.ts'
import { coseKeyDid, credentialDid, roles } from '../roster.ts'
import type { Credential, Person, Roster } from '../roster.ts'
import { malformed, name, oneOrMore, parseFile, refuseRepeats } from './file.ts'

const file = 'roster.yaml'

const time = z.iso.datetime({ precision: 0, error: 'write a time such as 2026-12-31T00:00:00Z' })
const validity = { from: time, until: time }
const hex32 = z.string().regex(/^[0-9a-f]{64}$/, 'write 64 hexadecimal digits')
const aaguidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/, 'write base64url without padding')

const credentialSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('did:key'), id: name, did: z.string().max(128), ...validity }),
  z.strictObject({
    kind: z.literal('webauthn'),
    id: base64url.max(1364),
    key: base64url.max(256),
    aaguid: z.string().regex(aaguidForm, 'write it as a UUID in lower case'),
    attestation: hex32.optional(),
    backupEligible: z.boolean(),
    ...validity,
  }),
])

const rosterFile = z.strictObject({
  roster: z.literal('holdfast/roster/v1'),
  env: z.enum(['dev', 'prod']),
  epoch: z.int().min(1).max(1_000_000),
  previous: hex32.optional(),
  rp: z.strictObject({
    id: z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'write a host name'),
    origins: oneOrMore(z.string().max(512)),
  }),
  persons: oneOrMore(
    z.strictObject({
      id: name,
      org: name,
      roles: oneOrMore(z.enum(roles)),
      status: z.enum(['active', 'removed']),
      credentials: z.array(credentialSchema).max(16, 'at most 16'),
    }),
  ),
})

type Entry = z.infer<typeof rosterFile>

/**
 * One epoch of the officers. Refused: a credential that two persons have (or one has twice), since one
 * signature would be two persons; and one whose key is a rotation key, since every operation that it
 * signs would be an approval to whoever reads it otherwise.
 * @throws PolicyError `file-malformed`, naming the person and the credential
 */
export function parseRoster(text: string, keys: readonly KeyConfig[]): Roster {
  const entry = parseFile(file, text, rosterFile)
  checkRelyingParty(entry.rp)
  if ((entry.epoch === 1) !== (entry.previous === undefined)) {
    throw malformed(`${file}: previous: the digest of the epoch before; the first has none`)
  }
  const persons = entry.persons.map(toPerson).sort(byId)
  refuseRepeats(
    file,
    'person',
    persons.map(({ id }) => id),
  )
  refuseSharedCredentials(persons)
  refuseRotationKeys(persons, keys)
  const { env, epoch, rp } = entry
  const previous = entry.previous === undefined ? null : bytesOf(entry.previous, 'hex')
  return withDigest({ env, epoch, previous, rp, persons })
}

/** The canonical object that approvals, and the next epoch, name by its digest. */
export function rosterBytes(roster: Omit<Roster, 'digest'>): Uint8Array {
  const { env, epoch, previous, rp, persons } = roster
  return dagCbor.encode({ format: 'holdfast/roster/v1', env, epoch, previous, rp, persons })
}

export function withDigest(content: Omit<Roster, 'digest'>): Roster {
  const digest = new Uint8Array(createHash('sha256').update(rosterBytes(content)).digest())
  return { ...content, digest }
}

const int = z.int().min(0)
const rawBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')
const rawValidity = { from: int, until: int }
const canonicalSchema = z.strictObject({
  format: z.literal('holdfast/roster/v1'),
  env: z.enum(['dev', 'prod']),
  epoch: int.min(1),
  previous: rawBytes.nullable(),
  rp: z.strictObject({ id: z.string(), origins: z.array(z.string()) }),
  persons: z.array(
    z.strictObject({
      id: name,
      org: name,
      roles: z.array(z.enum(roles)),
      status: z.enum(['active', 'removed']),
      credentials: z.array(
        z.discriminatedUnion('kind', [
          z.strictObject({ kind: z.literal('did:key'), id: name, did: z.string(), ...rawValidity }),
          z.strictObject({
            kind: z.literal('webauthn'),
            id: z.string(),
            key: rawBytes,
            aaguid: z.string(),
            attestation: rawBytes.nullable(),
            backupEligible: z.boolean(),
            ...rawValidity,
          }),
        ]),
      ),
    }),
  ),
})

/**
 * A roster from its canonical bytes, for who judges again what officers said. That it means what its file
 * said was checked when that was parsed; here it must have the shape, real keys, and no credential of two persons.
 * @throws PolicyError `file-malformed` for anything but the canonical bytes of a roster of this format
 */
export function decodeRoster(bytes: Uint8Array): Roster {
  const parsed = canonicalSchema.safeParse(decodeOrNull(bytes))
  if (!parsed.success) throw malformed('roster: not the canonical bytes of one')
  const { format: _, ...content } = parsed.data
  const roster = withDigest(content)
  if (Buffer.compare(rosterBytes(roster), bytes) !== 0) {
    throw malformed('roster: not its canonical bytes')
  }
  const keyless = roster.persons
    .flatMap(({ credentials }) => credentials)
    .find((one) => (one.kind === 'did:key' ? !isDidKey(one.did) : coseKeyDid(one.key) === null))
  if (keyless !== undefined) throw malformed(`roster: credential ${keyless.id} has no such key`)
  refuseSharedCredentials(roster.persons)
  return roster
}

function decodeOrNull(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch {
    return null
  }
}

/** WebAuthn takes https, or http on the name `localhost`; a passkey answers at or below its RP ID. */
function checkRelyingParty({ id, origins }: Entry['rp']): void {
  refuseRepeats(file, 'rp.origins', origins)
  for (const origin of origins) {
    const url = URL.parse(origin)
    const secure = url?.protocol === 'https:' || url?.hostname === 'localhost'
    const under = url?.hostname === id || url?.hostname.endsWith(`.${id}`) === true
    if (url === null || url.origin !== origin || !secure || !under) {
      throw malformed(`${file}: rp.origins: ${origin} is not an https origin at or below ${id}`)
    }
  }
}

function toPerson(entry: Entry['persons'][number]): Person {
  const where = `${file}: person ${entry.id}`
  refuseRepeats(where, 'role', entry.roles)
  if (entry.status === 'removed' && entry.credentials.length > 0) {
    throw malformed(`${where}: is removed, and so has no credentials`)
  }
  const credentials = entry.credentials.map((credential) => toCredential(where, credential))
  return {
    id: entry.id,
    org: entry.org,
    roles: [...entry.roles].sort(),
    status: entry.status,
    credentials: credentials.sort(byId),
  }
}

function toCredential(
  person: string,
  entry: Entry['persons'][number]['credentials'][number],
): Credential {
  const where = `${person}: credential ${entry.id}`
  const validity = { from: unixSeconds(entry.from), until: unixSeconds(entry.until) }
  if (validity.until <= validity.from) throw malformed(`${where}: until is not after from`)
  if (entry.kind === 'did:key') {
    if (!isDidKey(entry.did)) throw malformed(`${where}: did is not a did:key of K-256 or P-256`)
    return { kind: 'did:key', id: entry.id, did: entry.did, ...validity }
  }
  const key = bytesOf(entry.key, 'base64url')
  if (coseKeyDid(key) === null) {
    throw malformed(`${where}: key is not an ES256 key as an authenticator writes it (77 bytes)`)
  }
  return {
    kind: 'webauthn',
    id: canonicalBase64url(where, entry.id),
    key,
    aaguid: entry.aaguid,
    attestation: entry.attestation === undefined ? null : bytesOf(entry.attestation, 'hex'),
    backupEligible: entry.backupEligible,
    ...validity,
  }
}

function refuseSharedCredentials(persons: readonly Person[]): void {
  const owners = new Map<string, string>()
  for (const { person, credential } of credentialsOf(persons)) {
    for (const name of [`id ${credential.id}`, `key ${credentialDid(credential)}`]) {
      const other = owners.get(name)
      if (other !== undefined) {
        throw malformed(
          `${file}: person ${person.id}: credential ${credential.id}: ${name} is one of ${other} already`,
        )
      }
      owners.set(name, person.id)
    }
  }
}

function refuseRotationKeys(persons: readonly Person[], keys: readonly KeyConfig[]): void {
  for (const { person, credential } of credentialsOf(persons)) {
    const key = keys.find(({ did }) => did === credentialDid(credential))
    if (key !== undefined) {
      throw malformed(
        `${file}: person ${person.id}: credential ${credential.id} is the rotation key ${key.id} of keys.yaml`,
      )
    }
  }
}

const credentialsOf = (persons: readonly Person[]) =>
  persons.flatMap((person) => person.credentials.map((credential) => ({ person, credential })))

function canonicalBase64url(where: string, text: string): string {
  if (Buffer.from(text, 'base64url').toString('base64url') === text) return text
  throw malformed(`${where}: id is not the one base64url form of its bytes`)
}

const bytesOf = (text: string, encoding: 'hex' | 'base64url') =>
  new Uint8Array(Buffer.from(text, encoding))

const unixSeconds = (text: string) => Date.parse(text) / 1000

const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

function isDidKey(did: string): boolean {
  try {
    parseRotationKey(did)
    return true
  } catch {
    return false
  }
}
