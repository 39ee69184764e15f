import { encodeEvidence } from '../../src/approval/evidence.ts'
import { statementOf } from '../../src/approval/matter.ts'
import { encodeStatement } from '../../src/approval/statement.ts'
import { assertion } from '../approval/cases.ts'
import { p256KeyNamed } from '../plc/build-log.ts'
import { passkeyId } from '../policy/officers.ts'
import { movedTo, openApproving, rekeyed } from './approving.ts'
import type { Approving } from './approving.ts'
import { idOf } from './custody.ts'

/**
 * What a service writes while officers agree by key and by passkey, wait for one another, change their
 * mind, say no, are asked for more than they answer, and are overtaken.
 */
export async function approvedLog(): Promise<Uint8Array[]> {
  const approving = await openApproving({ operatedBy: ['erin'] })
  const { custody } = approving
  try {
    await agree(approving)
    await reject(approving)
    await wait(approving)
    await overtake(approving)
    const { rows } = await custody.pool.query<{ body: Buffer }>(
      'select body from audit_outbox order by id',
    )
    return rows.map(({ body }) => new Uint8Array(body))
  } finally {
    await custody.close()
  }
}

/** One of them twice, by the command line, and one by a passkey. */
async function agree(approving: Approving): Promise<void> {
  const { custody } = approving
  const move = movedTo(await custody.account('agreed'), 'agreed')
  const id = idOf(await custody.sign(move))
  await approving.approve(id, 'alice')
  await approving.approve(id, 'alice')
  await approveByPasskey(approving, id, 'carol')
  await custody.sign(move)
}

async function approveByPasskey(
  { say, shown, roster }: Approving,
  id: string,
  person: string,
): Promise<void> {
  const { matter } = await shown(id)
  const credential = passkeyId(person)
  const notBefore = Math.floor(Date.now() / 1000)
  const nonce = new Uint8Array(16).fill(9)
  const own = {
    decision: 'approve',
    person,
    credential,
    role: 'officer',
    notBefore,
    nonce,
  } as const
  const statement = encodeStatement(statementOf(matter, { ...own, roster }))
  const signer = await p256KeyNamed(`${person} passkey`)
  const evidence = encodeEvidence(await assertion({ statement, signer, credentialId: credential }))
  const raw = { statement, evidence }
  await say({ requestId: id, officer: person, decision: 'approve', raw })
}

async function reject(approving: Approving): Promise<void> {
  const { custody } = approving
  const move = movedTo(await custody.account('rejected'), 'rejected')
  const id = idOf(await custody.sign(move))
  await approving.approve(id, 'bob')
  await approving.reject(id, 'dora')
  await custody.sign(move)
}

/** One agreement that has waited its hour, and one that has not. */
async function wait(approving: Approving): Promise<void> {
  const { custody } = approving
  const hourAgo = Math.floor(Date.now() / 1000) - 3601
  const waited = rekeyed(await custody.account('waited'))
  const first = idOf(await custody.sign(waited))
  await approving.approve(first, 'dora', { notBefore: hourAgo })
  await custody.sign(waited)
  const waits = rekeyed(await custody.account('waits'))
  await approving.approve(idOf(await custody.sign(waits)), 'dora')
  await custody.sign(waits)
}

/** A second request of the same identity, before anybody looked at the first. */
async function overtake({ custody }: Approving): Promise<void> {
  const account = await custody.account('overtaken')
  await custody.sign(movedTo(account, 'first'))
  await custody.sign(movedTo(account, 'second'))
}
