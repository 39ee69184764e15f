import { hash } from 'node:crypto'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { type Keypair, P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { attachSignature, cidOf, didOfGenesis, signingBytes } from '../../src/plc/encode.ts'
import { formatSignature } from '../../src/plc/signature.ts'
import { PlcError } from '../../src/plc/error.ts'
import { type VerifiedLog, verifyLog } from '../../src/plc/log.ts'
import type {
  LegacyCreate,
  PlcOperation,
  SignedOperation,
  UnsignedOperation,
} from '../../src/plc/operation.ts'

export type Row = {
  did: string
  operation: SignedOperation
  cid: string
  nullified: boolean
  createdAt: string
}

/** One operation after the genesis: signed `by`, following the row `after` (default: the last one). */
export type Step = {
  by: Keypair
  after?: number
  hours: number
  rotationKeys?: readonly Pick<Keypair, 'did'>[]
  tombstone?: true
  nullifies?: readonly number[]
}

export const { verify } = openVerifier()

const START = Date.UTC(2026, 0, 1)

/** The same key for the same name, so that a failing test fails again. */
export function keyNamed(name: string): Promise<Keypair> {
  return Secp256k1Keypair.import(hash('sha256', name, 'hex'), { exportable: true })
}

export function p256KeyNamed(name: string): Promise<Keypair> {
  return P256Keypair.import(hash('sha256', name, 'hex'), { exportable: true })
}

export function plcOperation(fields: Partial<PlcOperation> = {}): PlcOperation {
  return {
    type: 'plc_operation',
    rotationKeys: [],
    verificationMethods: {},
    alsoKnownAs: ['at://alice.example.com'],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://pds.example.com' },
    },
    prev: null,
    ...fields,
  }
}

export async function sign(operation: UnsignedOperation, by: Keypair): Promise<SignedOperation> {
  return attachSignature(operation, await by.sign(signingBytes(operation)))
}

export async function signLegacy(operation: LegacyCreate, by: Keypair): Promise<SignedOperation> {
  return { ...operation, sig: formatSignature(await by.sign(signingBytes(operation))) }
}

export function rowOf(did: string, operation: SignedOperation, hours: number): Row {
  const createdAt = new Date(START + hours * 3_600_000).toISOString()
  return { did, operation, cid: cidOf(operation), nullified: false, createdAt }
}

/** A log as the directory would list it, if it accepted every step. */
export async function buildLog(
  keys: readonly Pick<Keypair, 'did'>[],
  by: Keypair,
  steps: readonly Step[] = [],
): Promise<Row[]> {
  const genesis = await sign(plcOperation({ rotationKeys: keys.map((key) => key.did()) }), by)
  return extendLog([rowOf(didOfGenesis(genesis), genesis, 0)], steps)
}

export async function extendLog(log: readonly Row[], steps: readonly Step[]): Promise<Row[]> {
  const rows = [...log]
  for (const step of steps) {
    const base = rows[step.after ?? rows.length - 1]!
    const operation = await sign(nextOperation(base, step, rows.length), step.by)
    for (const index of step.nullifies ?? []) rows[index] = { ...rows[index]!, nullified: true }
    rows.push(rowOf(base.did, operation, step.hours))
  }
  return rows
}

function nextOperation(base: Row, step: Step, serial: number): UnsignedOperation {
  if (step.tombstone) return { type: 'plc_tombstone', prev: base.cid }
  const before = base.operation.type === 'plc_operation' ? base.operation.rotationKeys : []
  return plcOperation({
    rotationKeys: step.rotationKeys?.map((key) => key.did()) ?? before,
    alsoKnownAs: [`at://name-${serial}.example.com`],
    prev: base.cid,
  })
}

export function verifyRows(rows: readonly unknown[]): Promise<VerifiedLog> {
  return verifyLog((rows[0] as Row).did, rows, verify)
}

/** `valid`, or the index of the entry and the rule that it breaks. */
export async function verdictOn(rows: readonly unknown[]): Promise<string> {
  try {
    await verifyRows(rows)
    return 'valid'
  } catch (error) {
    if (error instanceof PlcError && error.code === 'invalid-log') {
      return `entry ${error.entry} breaks ${error.rule}`
    }
    throw error
  }
}
