import { dataOf } from './log.ts'
import { Refusal } from './operation.ts'
import type { Data, Entry } from './operation.ts'

export type Answer = {
  status: number
  json?: unknown
  text?: string
  type?: string
  headers?: Record<string, string>
}

type Store = { entries: readonly Entry[]; tombstoneStatus: 404 | 410 }

const MAX_EXPORT = 1_000

/** The reading half of plc.md §6. */
export function answerRead(url: URL, store: Store): Answer {
  const [did = '', ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent)
  const path = rest.join('/')
  if (did === '_health') return { status: 200, json: { version: 'test directory' } }
  if (did === 'export' && path === '') return answerExport(url.searchParams, store)
  if (did === 'export') throw new Refusal(426, 'upgrade required')
  if (!did.startsWith('did:plc:')) throw new Refusal(400, `Not a did:plc identifier: ${did}`)
  const all = store.entries.filter((entry) => entry.did === did)
  const active = all.filter((entry) => !entry.nullified)
  const head = active.at(-1)
  if (head === undefined) throw new Refusal(404, `DID not registered: ${did}`)
  switch (path) {
    case 'log':
      return { status: 200, json: active.map((entry) => entry.operation) }
    case 'log/last':
      return { status: 200, json: head.operation }
    case 'log/audit':
      return { status: 200, json: all.map(exported) }
    case 'data':
      return { status: 200, json: { did, ...present(did, head, store) } }
    case '':
      return {
        status: 200,
        type: 'application/did+ld+json',
        json: document(did, present(did, head, store)),
      }
    default:
      throw new Refusal(404, 'Not Found')
  }
}

function present(did: string, head: Entry, store: Store): Data {
  const data = dataOf(head.operation)
  if (data === null) throw new Refusal(store.tombstoneStatus, `DID not available: ${did}`)
  return data
}

function answerExport(query: URLSearchParams, { entries }: Store): Answer {
  const count = Number.parseInt(query.get('count') ?? '1000', 10)
  if (!(count >= 1)) throw new Refusal(400, 'Invalid count parameter')
  const after = query.get('after')
  const rows =
    after !== null && /^\d+$/.test(after)
      ? exportBySequence(entries, Number(after))
      : exportByTime(entries, after)
  const page = rows.slice(0, Math.min(count, MAX_EXPORT))
  const text = page.map((row) => JSON.stringify(row)).join('\n')
  return { status: 200, type: 'application/jsonlines', text }
}

function exportByTime(entries: readonly Entry[], after: string | null): unknown[] {
  const since = after === null ? Number.NEGATIVE_INFINITY : Date.parse(after)
  if (Number.isNaN(since)) throw new Refusal(400, 'Invalid after parameter')
  return entries
    .filter((entry) => entry.createdAt.getTime() > since)
    .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.cid < b.cid ? -1 : 1))
    .map(exported)
}

/** No `nullified` here: a reader has to derive it. */
function exportBySequence(entries: readonly Entry[], after: number): unknown[] {
  return entries.slice(after).map(({ did, operation, cid, createdAt }, index) => {
    const seq = after + index + 1
    return { type: 'sequenced_op', operation, did, cid, createdAt, seq }
  })
}

function exported({ did, operation, cid, nullified, createdAt }: Entry): unknown {
  return { did, operation, cid, nullified, createdAt: createdAt.toISOString() }
}

function document(did: string, data: Data): unknown {
  return {
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    alsoKnownAs: data.alsoKnownAs,
    verificationMethod: Object.entries(data.verificationMethods).map(([id, key]) => ({
      id: `${did}#${id}`,
      type: 'Multikey',
      controller: did,
      publicKeyMultibase: key.slice('did:key:'.length),
    })),
    service: Object.entries(data.services).map(([id, { type, endpoint }]) => ({
      id: `#${id}`,
      type,
      serviceEndpoint: endpoint,
    })),
  }
}
