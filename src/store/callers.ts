import { createHash, randomBytes } from 'node:crypto'
import { and, asc, eq, inArray, max, sql } from 'drizzle-orm'
import type { Sealer } from '../sealing/sealer.ts'
import { SealError } from '../sealing/sealer.ts'
import { createBatcher } from './batch.ts'
import type { Database, Transaction } from './database.ts'
import { StoreError } from './error.ts'
import { isOnRecord } from './look-up.ts'
import { append } from './outbox.ts'
import { callerCredentials } from './schema.ts'

/** What a caller proves itself with. Whether it may do anything is said by `policies/`. */
export type Credential = {
  readonly caller: string
  readonly accessKeyId: string
  /** For SigV4, which is symmetric; it never crosses the wire. */
  readonly secret: string
  /** SHA-256 of the bearer token. */
  readonly tokenHash: Uint8Array
}

/** Shown once and kept nowhere in the clear. */
export type NewCredential = {
  readonly caller: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly token: string
}

export type CredentialSummary = {
  readonly caller: string
  readonly accessKeyId: string
  readonly createdAt: Date
  readonly revoked: boolean
}

type Row = typeof callerCredentials.$inferSelect

/** The token's hash too: whoever can write rows must not be able to choose a token. */
const secretContext = (row: Pick<Row, 'caller' | 'accessKeyId' | 'serial' | 'tokenHash'>) => [
  row.caller,
  row.accessKeyId,
  String(row.serial),
  Buffer.from(row.tokenHash).toString('hex'),
]

/** A revocation is an entry, not a column: an old row that is brought back stays revoked. */
const isRevoked = isOnRecord('caller.revoked', callerCredentials.accessKeyId)

export async function addCredential(
  db: Database,
  sealer: Sealer,
  caller: string,
): Promise<NewCredential> {
  const accessKeyId = `HFAK${base32(randomBytes(10))}`
  const secretAccessKey = randomBytes(30).toString('base64url')
  const token = randomBytes(32).toString('base64url')
  const tokenHash = createHash('sha256').update(token).digest()
  await db.transaction(async (tx) => {
    const serial = await nextSerial(tx, caller)
    const [row] = await tx
      .insert(callerCredentials)
      .values({
        accessKeyId,
        caller,
        serial,
        sealedSecret: sealer.seal(
          'caller-secret',
          secretContext({ caller, accessKeyId, serial, tokenHash }),
          Buffer.from(secretAccessKey),
        ),
        tokenHash,
        createdAt: sql`clock_timestamp()`,
      })
      .returning({ at: callerCredentials.createdAt })
    if (row === undefined) throw new TypeError('an insert returns its row')
    await append(tx, row.at, [{ kind: 'caller.added', caller, accessKeyId, serial }])
  })
  return { caller, accessKeyId, secretAccessKey, token }
}

async function nextSerial(tx: Transaction, caller: string): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`caller ${caller}`}, 0))`)
  const [row] = await tx
    .select({ highest: max(callerCredentials.serial) })
    .from(callerCredentials)
    .where(eq(callerCredentials.caller, caller))
  return (row?.highest ?? 0) + 1
}

/**
 * Finds a credential by its access key id; null when there is none or it is revoked. Look-ups that
 * come together are one query. An unknown id costs an unsealing too, so that an answer's time does
 * not tell which ids exist.
 */
export function createCredentialFinder(
  db: Database,
  sealer: Sealer,
): (accessKeyId: string) => Promise<Credential | null> {
  const decoyContext = secretContext({
    caller: '',
    accessKeyId: '',
    serial: 0,
    tokenHash: new Uint8Array(32),
  })
  const decoy = sealer.seal('caller-secret', decoyContext, randomBytes(40))
  const findRow = createBatcher({ run: async (ids: readonly string[]) => await findRows(db, ids) })
  return async (accessKeyId) => {
    const row = await findRow(accessKeyId)
    if (row !== null) return openCredential(sealer, row)
    sealer.open('caller-secret', decoyContext, decoy)
    return null
  }
}

async function findRows(db: Database, ids: readonly string[]) {
  const rows = await db
    .select()
    .from(callerCredentials)
    .where(and(inArray(callerCredentials.accessKeyId, [...new Set(ids)]), sql`not ${isRevoked}`))
  const byId = new Map(rows.map((row) => [row.accessKeyId, row]))
  return ids.map((id) => ({ status: 'fulfilled', value: byId.get(id) ?? null }) as const)
}

function openCredential(sealer: Sealer, row: Row): Credential {
  const { caller, accessKeyId, tokenHash } = row
  try {
    const secret = sealer
      .open('caller-secret', secretContext(row), row.sealedSecret)
      .toString('utf8')
    return { caller, accessKeyId, secret, tokenHash }
  } catch (cause) {
    if (!(cause instanceof SealError)) throw cause
    throw new StoreError(
      'seal-broken',
      `the secret of access key ${accessKeyId} does not open: HOLDFAST_SECRET_FILE is another one, or the row was changed`,
      { cause },
    )
  }
}

/**
 * Every credential that is not revoked. Opening them also proves the sealing secret.
 * @throws StoreError `seal-broken`
 */
export async function credentialsInForce(db: Database, sealer: Sealer): Promise<Credential[]> {
  const rows = await db
    .select()
    .from(callerCredentials)
    .where(sql`not ${isRevoked}`)
    .orderBy(asc(callerCredentials.caller), asc(callerCredentials.serial))
  return rows.map((row) => openCredential(sealer, row))
}

export async function listCredentials(db: Database): Promise<CredentialSummary[]> {
  return await db
    .select({
      caller: callerCredentials.caller,
      accessKeyId: callerCredentials.accessKeyId,
      createdAt: callerCredentials.createdAt,
      revoked: isRevoked,
    })
    .from(callerCredentials)
    .orderBy(asc(callerCredentials.caller), asc(callerCredentials.serial))
}

/** Ends a credential for good. */
export async function revokeCredential(
  db: Database,
  accessKeyId: string,
): Promise<'revoked' | 'already-revoked' | 'unknown'> {
  return await db.transaction(async (tx) => {
    const named = eq(callerCredentials.accessKeyId, accessKeyId)
    // A statement of its own: what the next one sees is as of after the lock.
    await tx.select().from(callerCredentials).where(named).for('update')
    const [row] = await tx
      .select({
        caller: callerCredentials.caller,
        serial: callerCredentials.serial,
        revoked: isRevoked,
        now: sql<Date>`clock_timestamp()`.mapWith(callerCredentials.createdAt),
      })
      .from(callerCredentials)
      .where(named)
    if (row === undefined) return 'unknown'
    if (row.revoked) return 'already-revoked'
    await append(tx, row.now, [
      { kind: 'caller.revoked', caller: row.caller, accessKeyId, serial: row.serial },
    ])
    return 'revoked'
  })
}

/** RFC 4648 base32, upper case: 10 bytes are 16 characters. */
function base32(bytes: Uint8Array): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{5}/g) ?? []).map((group) => alphabet[Number.parseInt(group, 2)]).join('')
}
