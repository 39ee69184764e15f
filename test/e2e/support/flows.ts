import type { Pds } from './pds.ts'

export type Account = { did: string; handle: string; email: string; accessJwt: string }

/** What an operation on the directory looks like in an answer of the PDS: judged by the tests. */
export type PdsOperation = Record<string, unknown>

/** The fields that a user may hand to `signPlcOperation`. */
export type Wish = {
  rotationKeys?: string[]
  alsoKnownAs?: string[]
  verificationMethods?: Record<string, string>
  services?: Record<string, { type: string; endpoint: string }>
}

/** A call that the PDS refused: the words for its user, then those of its log. */
export class XrpcError extends Error {
  readonly status: number

  constructor(method: string, status: number, words: string) {
    super(`${method}: ${status} ${words}`)
    this.status = status
  }
}

type Call = { method: string; body?: unknown; jwt?: string }

export async function post<T>(pds: Pds, { method, body, jwt }: Call): Promise<T> {
  const errors = pds.errorCount(method)
  const response = await fetch(`${pds.url}/xrpc/${method}`, {
    method: 'POST',
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(jwt === undefined ? {} : { authorization: `Bearer ${jwt}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (!response.ok) {
    // Only a failure of the PDS's own is in its log.
    const words = response.status < 500 ? '' : await pds.lastError(method, errors)
    throw new XrpcError(method, response.status, `${text} | ${words}`)
  }
  return (text === '' ? {} : JSON.parse(text)) as T
}

export async function createAccount(
  pds: Pds,
  name: string,
  input: { email?: string; recoveryKey?: string } = {},
): Promise<Account> {
  const handle = `${name}.test`
  const email = input.email ?? `${name}@users.test`
  const body = { handle, email, password: `password of ${name}`, recoveryKey: input.recoveryKey }
  const created = await post<{ did: string; accessJwt: string }>(pds, {
    method: 'com.atproto.server.createAccount',
    body,
  })
  return { did: created.did, handle, email, accessJwt: created.accessJwt }
}

/** The account with its new handle. */
export async function updateHandle(pds: Pds, account: Account, name: string): Promise<Account> {
  const handle = `${name}.test`
  const method = 'com.atproto.identity.updateHandle'
  await post(pds, { method, body: { handle }, jwt: account.accessJwt })
  return { ...account, handle }
}

/** Asks for the e-mailed token and reads it from the mail. */
export async function requestPlcToken(pds: Pds, account: Account): Promise<string> {
  const method = 'com.atproto.identity.requestPlcOperationSignature'
  await post(pds, { method, jwt: account.accessJwt })
  const mail = await pds.mail.next(account.email)
  const token = /\b[A-Z2-7]{5}-[A-Z2-7]{5}\b/.exec(mail)?.[0]
  if (token === undefined) throw new Error(`no token in the mail:\n${mail}`)
  return token
}

/** The whole of what a user does to have an operation signed: token, mail, request. The PDS hands
 *  the signed operation back and submits nothing; the token is spent even when signing fails. */
export async function signPlcOperation(
  pds: Pds,
  account: Account,
  wish: Wish,
): Promise<PdsOperation> {
  const token = await requestPlcToken(pds, account)
  const method = 'com.atproto.identity.signPlcOperation'
  const body = { token, ...wish }
  const answer = await post<{ operation: PdsOperation }>(pds, {
    method,
    body,
    jwt: account.accessJwt,
  })
  return answer.operation
}

export async function submitPlcOperation(
  pds: Pds,
  account: Account,
  operation: PdsOperation,
): Promise<void> {
  const method = 'com.atproto.identity.submitPlcOperation'
  await post(pds, { method, body: { operation }, jwt: account.accessJwt })
}

/** Two sign-ups at once with one e-mail address. Both pass the PDS's check that the address is
 *  free, both have their genesis signed and submitted, and the account database lets one in: the
 *  PDS then tombstones the other's new DID. Nothing of the PDS is touched. */
export async function createAccountTwice(
  pds: Pds,
  name: string,
): Promise<{ account: Account; refused: XrpcError }> {
  const email = `${name}@users.test`
  const both = await Promise.allSettled([
    createAccount(pds, `${name}a`, { email }),
    createAccount(pds, `${name}b`, { email }),
  ])
  const account = both.find((result) => result.status === 'fulfilled')
  const refused = both.find((result) => result.status === 'rejected')
  if (account === undefined || !(refused?.reason instanceof XrpcError)) {
    throw new Error(`one of two sign-ups must fail: ${JSON.stringify(both)}`)
  }
  return { account: account.value, refused: refused.reason }
}

/** Runs `one` for 0..count-1, `width` at a time, and keeps the order. */
export async function inParallel<T>(
  count: number,
  width: number,
  one: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await one(index)
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}
