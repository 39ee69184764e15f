import type { Pool } from 'pg'
import { encodeSignedOperation } from '../../src/plc/encode.ts'
import type { Sealer } from '../../src/sealing/sealer.ts'
import { sealRow } from '../../src/store/seals.ts'
import type { Signed } from './operations.ts'

// Postgres's clock is the one clock, and nobody can move it: a test moves what was written. The process
// that signed remembers when it did: it is another one afterwards.

type Aged = { readonly pool: Pool; readonly restart?: () => void }

/** Ends every lease, as waiting for ten seconds would. */
export async function endLeases(pool: Pool): Promise<void> {
  await pool.query(
    `update requests set lease_until = clock_timestamp() - interval '1 millisecond'
     where lease_until is not null`,
  )
}

/** Makes a signature older than it is, and whatever else happened on its `prev` with it. */
export async function ageSignature(
  { pool, restart }: Aged,
  requestId: string,
  seconds: number,
): Promise<void> {
  restart?.()
  await pool.query(
    `update requests aged set produced_at = aged.produced_at - make_interval(secs => $2),
       intended_at = aged.intended_at - make_interval(secs => $2)
     from requests named where named.id = $1 and aged.did = named.did
       and aged.prev is not distinct from named.prev`,
    [requestId, seconds],
  )
}

/** Makes an operation older than it is. */
export async function ageOperation(
  { outside, sealer, restart }: Pick<Aged, 'restart'> & { outside: Pool; sealer: Sealer },
  cid: string,
  seconds: number,
): Promise<void> {
  restart?.()
  const { rows } = await outside.query<{ did: string; requestId: string | null; recordedAt: Date }>(
    `update operations set recorded_at = recorded_at - make_interval(secs => $2) where cid = $1
     returning did, request_id as "requestId", recorded_at as "recordedAt"`,
    [cid, seconds],
  )
  const [row] = rows
  if (row === undefined) throw new Error(`no operation ${cid}`)
  await outside.query('update operations set seal = $2 where cid = $1', [
    cid,
    sealRow(sealer, 'operation', { cid, ...row }),
  ])
}

/** Another operation of this identity, kept as one that was recorded so long ago. */
export async function insertOperation(
  pool: Pool,
  signed: Signed,
  secondsAgo: number,
): Promise<void> {
  await pool.query(
    `insert into operations (cid, did, bytes, nullified, recorded_at)
     values ($1, $2, $3, false, clock_timestamp() - make_interval(secs => $4))`,
    [signed.cid, signed.did, Buffer.from(encodeSignedOperation(signed.operation)), secondsAgo],
  )
}
