import { requestPlcToken } from './flows.ts'
import type { Account, PdsOperation } from './flows.ts'
import { post } from './flows.ts'
import type { Pds } from './pds.ts'

// How a user moves, by the calls that the official guide and its tools make.

type Get = { method: string; query?: Record<string, string>; jwt?: string }

async function get(pds: Pds, { method, query = {}, jwt }: Get): Promise<Response> {
  const url = `${pds.url}/xrpc/${method}?${new URLSearchParams(query).toString()}`
  const response = await fetch(url, {
    headers: jwt === undefined ? {} : { authorization: `Bearer ${jwt}` },
  })
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`)
  return response
}

async function getJson<T>(pds: Pds, call: Get): Promise<T> {
  return (await (await get(pds, call)).json()) as T
}

export type Move = { from: Pds; to: Pds; account: Account; name: string }

/** The account at the new PDS: made with its DID, the repo brought along, not active yet. */
export async function beginMove({ from, to, account, name }: Move): Promise<Account> {
  const create = 'com.atproto.server.createAccount'
  const { did: aud } = await getJson<{ did: string }>(to, {
    method: 'com.atproto.server.describeServer',
  })
  const { token } = await getJson<{ token: string }>(from, {
    method: 'com.atproto.server.getServiceAuth',
    query: { aud, lxm: create },
    jwt: account.accessJwt,
  })
  const { did, email } = account
  const handle = `${name}.test`
  const body = { did, handle, email, password: `password of ${name}` }
  const created = await post<{ accessJwt: string }>(to, { method: create, body, jwt: token })
  const repo = await get(from, { method: 'com.atproto.sync.getRepo', query: { did } })
  await importRepo(to, created.accessJwt, await repo.arrayBuffer())
  return { did, handle, email, accessJwt: created.accessJwt }
}

async function importRepo(pds: Pds, jwt: string, car: ArrayBuffer): Promise<void> {
  const response = await fetch(`${pds.url}/xrpc/com.atproto.repo.importRepo`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.ipld.car', authorization: `Bearer ${jwt}` },
    body: car,
  })
  if (!response.ok) throw new Error(`importRepo: ${response.status} ${await response.text()}`)
}

/** What the new PDS recommends, signed at the old one with the e-mailed token. */
export async function signMove({ from, to, account }: Move, moved: Account): Promise<PdsOperation> {
  const recommended = await getJson<Record<string, unknown>>(to, {
    method: 'com.atproto.identity.getRecommendedDidCredentials',
    jwt: moved.accessJwt,
  })
  const token = await requestPlcToken(from, account)
  const method = 'com.atproto.identity.signPlcOperation'
  const answer = await post<{ operation: PdsOperation }>(from, {
    method,
    body: { token, ...recommended },
    jwt: account.accessJwt,
  })
  return answer.operation
}

/** Submitted at the new PDS, which the account lives on from then on. */
export async function endMove(
  { from, to, account }: Move,
  moved: Account,
  operation: PdsOperation,
): Promise<void> {
  const submit = 'com.atproto.identity.submitPlcOperation'
  await post(to, { method: submit, body: { operation }, jwt: moved.accessJwt })
  await post(to, { method: 'com.atproto.server.activateAccount', jwt: moved.accessJwt })
  const method = 'com.atproto.server.deactivateAccount'
  await post(from, { method, body: {}, jwt: account.accessJwt })
}

/** The stock flow from beginning to end. */
export async function moveAccount(move: Move): Promise<Account> {
  const moved = await beginMove(move)
  await endMove(move, moved, await signMove(move, moved))
  return moved
}

/** Writes a record and reads it back: the account lives here. */
export async function postSomething(pds: Pds, account: Account): Promise<string> {
  const record = {
    $type: 'app.bsky.feed.post',
    text: 'still me',
    createdAt: new Date().toISOString(),
  }
  const body = { repo: account.did, collection: 'app.bsky.feed.post', record }
  const method = 'com.atproto.repo.createRecord'
  const { uri } = await post<{ uri: string }>(pds, { method, body, jwt: account.accessJwt })
  return uri
}
