import { Readable } from 'node:stream'
import { createHash } from 'node:crypto'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import type { Hono } from 'hono'
import type { RequestView } from '../../src/api/request.ts'
import type { SignNow } from '../../src/custody/sign-now.ts'
import type { AppDeps } from '../../src/http/app.ts'
import type { Credential } from '../../src/http/credential.ts'
import type { HttpEnv } from '../../src/http/env.ts'
import type { KeyConfig } from '../../src/policy/policy-set.ts'
import type { AccessKey, Signed } from '../support/aws-client.ts'

export const k256 = await Secp256k1Keypair.import('11'.repeat(32))
export const p256 = await P256Keypair.import('22'.repeat(32))

export const onlineKey: KeyConfig = {
  id: 'pds',
  class: 'online',
  curve: 'K-256',
  did: k256.did(),
  uri: 'file:pds',
  development: true,
}
export const p256Key: KeyConfig = { ...onlineKey, id: 'pds-p256', curve: 'P-256', did: p256.did() }
export const recoveryKey: KeyConfig = { ...onlineKey, id: 'recovery', class: 'recovery', uri: null }
export const othersKey: KeyConfig = { ...onlineKey, id: 'other' }

export const pds: AccessKey = { accessKeyId: 'HFAKPDSPDSPDSPDSPDSP', secretAccessKey: 'pds-secret' }
export const other: AccessKey = { accessKeyId: 'HFAKOTHEROTHEROTHERO', secretAccessKey: 'x-secret' }
export const pdsToken = 'pds-token-pds-token-pds-token'
export const otherToken = 'other-token-other-token-other'

export const pdsCredential = credentialOf('pds', pds, pdsToken)
const credentials = [pdsCredential, credentialOf('other', other, otherToken)]

export async function findCredential(accessKeyId: string): Promise<Credential | null> {
  return credentials.find((credential) => credential.accessKeyId === accessKeyId) ?? null
}

function credentialOf(caller: string, key: AccessKey, token: string): Credential {
  const tokenHash = createHash('sha256').update(token).digest()
  return { caller, accessKeyId: key.accessKeyId, secret: key.secretAccessKey, tokenHash }
}

export const signing: SignNow = async ({ message, key }) => ({
  kind: 'signed',
  requestId: '00000000-0000-4000-8000-000000000001',
  compact: await (key.curve === 'K-256' ? k256 : p256).sign(message),
})

const noSignature = new Uint8Array(64)

export function requestView(n: number, changes: Partial<RequestView> = {}): RequestView {
  return {
    id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    caller: 'pds',
    key: 'pds',
    state: 'returned',
    digest: 'ab'.repeat(32),
    class: 'update',
    did: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz',
    prev: null,
    rules: ['pds-updates'],
    decision: 'allow',
    rendering: 'alsoKnownAs: ...',
    operation: { type: 'plc_tombstone', prev: 'bafyreia' },
    signedOperation: { type: 'plc_tombstone', prev: 'bafyreia', sig: 'A'.repeat(86) },
    signature: 'A'.repeat(86),
    cid: 'bafyreib',
    replaces: [],
    submission: null,
    approval: null,
    createdAt: new Date(Date.UTC(2026, 0, 1, 0, 0, n)).toISOString(),
    intendedAt: null,
    producedAt: null,
    ...changes,
  }
}

export type LogLine = {
  level: 'info' | 'warn' | 'error'
  fields: Record<string, unknown>
  message: string
}

/** Deps that work, and what was logged through them. */
export function doorDeps(changes: Partial<AppDeps> = {}): { deps: AppDeps; lines: LogLine[] } {
  const lines: LogLine[] = []
  const line =
    (level: LogLine['level']) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields: { ...fields }, message })
    }
  const deps: AppDeps = {
    findCredential,
    initialCredentials: [],
    keysOf: (caller) => (caller === 'pds' ? [onlineKey, p256Key, recoveryKey] : [othersKey]),
    signNow: signing,
    proposeAnew: async () => ({ kind: 'proposed', requestId: requestView(1).id }),
    say: async () => ({ kind: 'kept' }),
    freeze: async () => null,
    readCosigned: async () => null,
    passkeys: { open: async () => null, answer: async () => null },
    officers: {
      roster: null,
      audience: 'http://localhost:2590',
      verify: async () => false,
      useOnce: async () => true,
    },
    allKeys: [],
    propose: async () => ({ kind: 'proposed', requestId: requestView(1).id }),
    signRequest: async ({ requestId }) => ({ kind: 'signed', requestId, compact: noSignature }),
    submit: async () => ({ kind: 'sent' }),
    cancel: async () => ({ kind: 'cancelled' }),
    listRequests: async () => [],
    readRequest: async () => null,
    readCheckpoint: async () => null,
    readEntries: async () => [],
    proveEntry: async () => '',
    observe: () => {},
    metrics: async () => '# no metrics\n',
    readiness: async () => ({ ready: true, parts: {}, warnings: [] }),
    log: { info: line('info'), warn: line('warn'), error: line('error') },
    now: () => new Date(),
    ...changes,
  }
  return { deps, lines }
}

/** Sends without a socket, with the part of Node's request that the doors read. */
export async function send(app: Hono<HttpEnv>, request: Signed): Promise<Response> {
  const incoming = Object.assign(Readable.from(request.body.length > 0 ? [request.body] : []), {
    method: request.method,
    url: request.target,
    rawHeaders: request.headers.flat(),
  })
  const url = new URL(request.target, 'http://127.0.0.1:2590')
  return app.fetch(new Request(url, { method: request.method }), { incoming })
}
