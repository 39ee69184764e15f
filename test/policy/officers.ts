import type { PolicyFiles } from '../../src/policy/parse.ts'
import { uncompressedPoint } from '../../src/plc/did-key.ts'
import { keyNamed, p256KeyNamed } from '../plc/build-log.ts'
import { dids } from './cases.ts'

/** ES256 as an authenticator writes it: {1: 2, 3: -7, -1: 1, -2: x, -3: y}. */
export function coseOf(did: string): Uint8Array {
  const point = uncompressedPoint(did)
  const head = [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]
  return Uint8Array.of(...head, ...point.subarray(1, 33), 0x22, 0x58, 0x20, ...point.subarray(33))
}

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')

/** The keys behind the credentials of each officer: the one of the command line, and the passkey. */
export async function officerKeys(id: string) {
  return {
    cli: (await keyNamed(`${id} cli`)).did(),
    passkey: (await p256KeyNamed(`${id} passkey`)).did(),
  }
}

export const passkeyId = (id: string) => base64url(Buffer.from(`passkey of ${id}`))

/** A person as roster.yaml writes them: a did:key and a passkey, for ten years. */
export async function personYaml(
  id: string,
  { org = 'acme', roles = '[officer]', status = 'active' } = {},
): Promise<string> {
  const keys = await officerKeys(id)
  const valid = 'from: 2026-01-01T00:00:00Z, until: 2036-01-01T00:00:00Z'
  return `
  - id: ${id}
    org: ${org}
    roles: ${roles}
    status: ${status}
    credentials:
      - { kind: "did:key", id: ${id}-cli, did: "${keys.cli}", ${valid} }
      - kind: webauthn
        id: ${passkeyId(id)}
        key: ${base64url(coseOf(keys.passkey))}
        aaguid: 00000000-0000-0000-0000-000000000000
        backupEligible: false
        ${valid.replace(', ', '\n        ')}
`
}

export const persons = {
  alice: await personYaml('alice'),
  bob: await personYaml('bob'),
  carol: await personYaml('carol', { org: 'bank' }),
  dora: await personYaml('dora', { org: 'bank', roles: '[officer, operator]' }),
  erin: await personYaml('erin', { roles: '[operator, custodian]' }),
}

export function rosterYaml(list: readonly string[]): string {
  return `
roster: holdfast/roster/v1
env: dev
epoch: 1
rp: { id: localhost, origins: ["http://localhost:2590"] }
persons:${list.join('')}`
}

const keys = `
keys: holdfast/keys/v1
list:
  - { id: pds, class: online, curve: K-256, did: "${dids.online}", uri: "file:pds" }
  - { id: recovery, class: recovery, curve: K-256, did: "${dids.recovery}" }
`

const callers = `
callers: holdfast/callers/v1
list:
  - { name: alpha, keys: [pds], operatedBy: [erin] }
  - { name: emergency, keys: [pds] }
`

const policy = `
policy: holdfast/policy/v1
env: dev
groups:
  security: { k: 2, of: [alice, bob, carol] }
  management: { any: [dora] }
  everybody: { all: [security, management] }
domains:
  ours: [example.com, "*.example.com"]
endpoints:
  pds: [https://pds.example.com]
keys:
  known: ["${dids.users}"]
minimum:
  { genesis: 0, update: 0, nullify: 3, tombstone: 0, tombstone.fresh: 0, departure: 0,
    policy: 3, roster: 3, ceremony: 3, redaction: 3, log-fork: 3, thaw: 2 }
publication: 6h
ceremony: { approversMayOperate: false, operators: 1, observers: 0 }
rules:
  - { id: GENESIS, match: { op: [genesis], key: [online], diff: any }, require: none }
  - id: HANDLE
    match: { op: [update], key: [online], diff: [alsoKnownAs], to: [ours] }
    require: none
    limits: { perDid: 3/7d }
  - id: MOVE
    match: { op: [update], key: [online], diff: [services.atproto_pds] }
    require: security
    separate: { orgs: 2 }
    approveBy: 24h
    executeBy: 4h
    delay: 1h
    limits: { global: 500/1h }
  - id: BREAK-GLASS
    match: { op: [update], key: [online], diff: any, caller: [emergency] }
    require: everybody
    approveBy: 1h
    executeBy: 30m
    channel: { cli: 2 }
    witness: required
    alarm: true
  - id: CHANGE
    match: { op: [policy, roster, redaction, log-fork, thaw], key: [none], diff: any }
    require: everybody
    approveBy: 24h
    executeBy: 24h
  - id: RECOVERY
    match: { op: [ceremony, nullify, update], key: [recovery], diff: any }
    require: everybody
    approveBy: 12h
    executeBy: 24h
    channel: { cli: 1 }
deny:
  - { id: NO-TOMBSTONE, match: { op: [tombstone] } }
`

/** A whole set with officers: five persons of two organisations, and most words of the language. */
export const officerFiles: PolicyFiles & { readonly roster: string } = {
  keys,
  callers,
  policy,
  roster: rosterYaml(Object.values(persons)),
}

/** The files with one thing changed; the thing must be there. */
export function edited(
  name: 'keys' | 'callers' | 'policy' | 'roster',
  from: string | RegExp,
  to: string,
): PolicyFiles {
  const text = officerFiles[name].replace(from, to)
  if (text === officerFiles[name])
    throw new Error(`${name}.yaml of this test has no ${String(from)}`)
  return { ...officerFiles, [name]: text }
}
