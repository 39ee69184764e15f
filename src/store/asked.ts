import type { Pool, PoolClient } from 'pg'
import type { RawApproval } from '../approval/evidence.ts'
import { parseRequester, requesterText } from '../approval/matter.ts'
import type { Requester } from '../approval/matter.ts'
import type { Asked, StoredRequest } from '../custody/ports.ts'
import { SealError } from '../sealing/sealer.ts'
import type { Sealer } from '../sealing/sealer.ts'

/** What is asked with a new request. */
export type AskedWrite = {
  readonly request: Sealed
  readonly requester: Requester
  readonly roster: Uint8Array
}

type Sealed = Pick<StoredRequest, 'id' | 'caller' | 'keyId' | 'digest' | 'createdAt'>

type Row = {
  request_id: string
  requester: string
  roster: Buffer
  seal: Buffer
}

const quorumStatement = {
  name: 'holdfast_asked',
  text: 'select request_id, requester, roster, seal from quorums where request_id = any($1::uuid[])',
}

const saidStatement = {
  name: 'holdfast_said',
  text: `
    select request_id, statement, evidence from approvals
    where request_id = any($1::uuid[]) order by recorded_at, person`,
}

const insertStatement = {
  name: 'holdfast_ask',
  text: 'insert into quorums (request_id, requester, roster, seal) values ($1, $2, $3, $4)',
}

/** What officers were asked about these requests, and said. A row that was changed asks nobody. */
export async function readAsked(
  client: Pool | PoolClient,
  sealer: Sealer,
  requests: readonly Sealed[],
): Promise<Asked[]> {
  if (requests.length === 0) return []
  const values = [requests.map(({ id }) => id)]
  const { rows } = await client.query<Row>({ ...quorumStatement, values })
  if (rows.length === 0) return []
  const said = await client.query<RawApproval & { request_id: string }>({
    ...saidStatement,
    values,
  })
  return rows.flatMap((row) => {
    const request = requests.find(({ id }) => id === row.request_id)
    const requester = parseRequester(row.requester)
    if (request === undefined || requester === null || !isIntact(sealer, request, row)) return []
    return [
      {
        requestId: request.id,
        requester,
        roster: new Uint8Array(row.roster),
        proposedAt: request.createdAt,
        said: said.rows.filter(({ request_id: id }) => id === request.id).map(toRaw),
      },
    ]
  })
}

export async function writeAsked(
  client: PoolClient,
  sealer: Sealer,
  { request, requester, roster }: AskedWrite,
): Promise<void> {
  const text = requesterText(requester)
  const seal = sealer.seal('asked', contextOf(request, text), new Uint8Array())
  await client.query({
    ...insertStatement,
    values: [request.id, text, Buffer.from(roster), Buffer.from(seal)],
  })
}

/**
 * Officers sign who asked and by when they may agree; both are the door's word, and a row could say
 * anything. So they are sealed with the bytes that they belong to.
 */
function contextOf(request: Sealed, requester: string): string[] {
  return [
    request.id,
    request.caller,
    request.keyId,
    Buffer.from(request.digest).toString('hex'),
    request.createdAt.toISOString(),
    requester,
  ]
}

function isIntact(sealer: Sealer, request: Sealed, { requester, seal }: Row): boolean {
  try {
    sealer.open('asked', contextOf(request, requester), seal)
    return true
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    return false
  }
}

function toRaw({ statement, evidence }: RawApproval): RawApproval {
  return { statement: new Uint8Array(statement), evidence: new Uint8Array(evidence) }
}
