import { buildLog, keyNamed } from '../plc/build-log.ts'
import { idOf, openCustody } from './custody.ts'
import type { Custody } from './custody.ts'
import { ageSignature } from './moving-time.ts'
import { genesisOf, renamed, tombstoneOf } from './operations.ts'
import { failingSigner } from './signers.ts'

/** What a service writes while it signs, denies, fails, postpones, replaces and takes into care. */
export async function custodyLog(): Promise<Uint8Array[]> {
  const custody = await openCustody()
  try {
    const one = await custody.account('one')
    await custody.sign(renamed(one, 'uno'))
    await custody.sign(genesisOf('two', [custody.p256.did]), { key: custody.p256 })
    await custody.sign(tombstoneOf(await custody.account('three')), { caller: 'other' })
    await custody.sign(tombstoneOf(await custody.account('four')))
    await signEnrolled(custody)
    await replace(custody)
    await fail(custody)
    const { rows } = await custody.pool.query<{ body: Buffer }>(
      'select body from audit_outbox order by id',
    )
    return rows.map(({ body }) => new Uint8Array(body))
  } finally {
    await custody.close()
  }
}

/** An account that was made elsewhere. */
async function signEnrolled(custody: Custody): Promise<void> {
  const user = await keyNamed('custody-log-user')
  const rows = await buildLog([user, { did: () => custody.key.did }], user, [])
  custody.directory.list(rows)
  await custody.enroll(rows[0]!.did)
  await custody.sign(renamed(rows[0]!, 'moved-in'))
}

/** A signature that had its time and never reached the directory. */
async function replace(custody: Custody): Promise<void> {
  const account = await custody.account('five')
  const first = await custody.sign(renamed(account, 'five-a'))
  await ageSignature(custody, idOf(first), 61)
  await custody.sign(renamed(account, 'five-b'))
  await custody.sign(renamed(account, 'five-a'))
}

async function fail(custody: Custody): Promise<void> {
  const account = await custody.account('six')
  custody.bench.fault = failingSigner('key-unusable')
  await custody.sign(renamed(account, 'six-a')).catch(() => {})
  custody.bench.fault = failingSigner('unavailable')
  await custody.sign(renamed(account, 'six-b'))
  custody.bench.fault = null
  await custody.sign(renamed(account, 'six-b'))
}
