import * as dagCbor from '@ipld/dag-cbor'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AuditEntry } from '../../src/audit/entry.ts'
import { curveOrder } from '../../src/plc/compact.ts'
import { isLowS } from '../../src/plc/signature.ts'
import { idOf, openCustody } from '../support/custody.ts'
import type { Custody } from '../support/custody.ts'
import { endLeases } from '../support/moving-time.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import {
  bitFlip,
  brokenSigner,
  changedBy,
  failingSigner,
  namedUse,
  otherBytesSigner,
  suspendableSigner,
  usesKeyAndTimesOut,
  wrongKeySigner,
} from '../support/signers.ts'
import type { Fault } from '../support/signers.ts'

let custody: Custody

beforeAll(async () => {
  custody = await openCustody()
})
beforeEach(() => {
  custody.bench.fault = null
  custody.bench.uses = 0
  custody.events.length = 0
})
afterEach(async () => await custody.check())
afterAll(async () => await custody.close())

const integerOf = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`)

async function recordOf(operationName: string) {
  const { rows } = await custody.pool.query<{ id: string; state: string; signature: null }>(
    `select id, state, signature from requests
     where encode(unsigned, 'escape') like $1 order by created_at`,
    [`%${operationName}.example.com%`],
  )
  return rows
}

async function kindsOf(id: string): Promise<string[]> {
  const { rows } = await custody.pool.query<{ kind: string }>(
    'select kind from audit_outbox where subject = $1 order by id',
    [id],
  )
  return rows.map(({ kind }) => kind)
}

const faults: Record<string, { fault: Fault; code: string }> = {
  'cannot use the key': { fault: failingSigner('key-unusable'), code: 'key-unusable' },
  'breaks unforeseen': { fault: brokenSigner(), code: 'unexpected' },
  'signs with another key': { fault: wrongKeySigner(), code: 'signature-invalid' },
  'signs other bytes': { fault: otherBytesSigner(), code: 'signature-invalid' },
  'flips a bit of r': { fault: changedBy(bitFlip(9)), code: 'signature-invalid' },
  'flips the last bit of s': { fault: changedBy(bitFlip(504)), code: 'signature-invalid' },
  'returns nothing': { fault: changedBy(() => new Uint8Array()), code: 'signature-invalid' },
  'returns 63 bytes': { fault: changedBy((raw) => raw.subarray(1)), code: 'signature-invalid' },
  'returns 65 bytes': {
    fault: changedBy((raw) => Uint8Array.of(...raw, 0)),
    code: 'signature-invalid',
  },
  'returns zeros': { fault: changedBy(() => new Uint8Array(64)), code: 'signature-invalid' },
  'returns the group order as s': {
    fault: changedBy((raw) => {
      raw.set(curveOrder('K-256'), 32)
      return raw
    }),
    code: 'signature-invalid',
  },
}

describe.each(Object.entries(faults))('a signer that %s', (name, { fault, code }) => {
  test.each(['genesis', 'update'] as const)(
    'on a %s: failed, nothing is released, and the same bytes sign at once afterwards',
    async (kind) => {
      const label = `${name.replaceAll(' ', '-')}-${kind}`
      const account = kind === 'update' ? await custody.account(`${label}-base`) : null
      const operation =
        account === null ? genesisOf(label, [custody.key.did]) : renamed(account, label)
      custody.bench.fault = fault
      await expect(custody.sign(operation)).rejects.toBeInstanceOf(Error)
      const [failed] = await recordOf(label)
      custody.bench.fault = null

      expect(failed).toMatchObject({ state: 'failed', signature: null })
      expect(await kindsOf(failed!.id)).toEqual([
        'request.proposed',
        'signature.intended',
        'request.failed',
      ])
      expect(await reasonOf(failed!.id)).toContain(code)
      expect(custody.events).toMatchObject([{ kind: 'signing-failed', key: 'pds' }])
      expect(await custody.sign(operation)).toMatchObject({ kind: 'signed' })
    },
  )

  test('does not hold the prev: other bytes sign at once', async () => {
    const label = `${name.replaceAll(' ', '-')}-rival`
    const account = await custody.account(`${label}-base`)
    custody.bench.fault = fault
    await expect(custody.sign(renamed(account, label))).rejects.toBeInstanceOf(Error)
    custody.bench.fault = null

    expect(await custody.sign(renamed(account, `${label}-2`))).toMatchObject({ kind: 'signed' })
  })
})

describe('a signer that cannot be used now, and certainly was not', () => {
  const away = failingSigner('unavailable')

  test('busy, and the request waits; the same bytes sign at once afterwards, as the same request', async () => {
    const account = await custody.account('away-base')
    const operation = renamed(account, 'away')
    custody.bench.fault = away
    const busy = [await custody.sign(operation), await custody.sign(operation)]
    const [waiting] = await recordOf('away')
    custody.bench.fault = null
    const id = idOf(busy[0]!)

    expect(busy).toMatchObject([
      { kind: 'busy', requestId: id },
      { kind: 'busy', requestId: id },
    ])
    expect(waiting).toMatchObject({ id, state: 'approved', signature: null })
    expect(custody.events).toMatchObject([{ kind: 'key-unavailable' }, { kind: 'key-unavailable' }])
    expect(await custody.sign(operation)).toMatchObject({ kind: 'signed', requestId: id })
    expect(await recordOf('away')).toHaveLength(1)
    expect(await kindsOf(id)).toEqual([
      'request.proposed',
      'signature.intended',
      'signature.postponed',
      'request.proposed',
      'signature.intended',
      'signature.postponed',
      'request.proposed',
      'signature.intended',
      'signature.produced',
    ])
  })

  test('does not hold the prev: other bytes sign at once, and then the first may not', async () => {
    const account = await custody.account('away-rival-base')
    const operation = renamed(account, 'away-rival')
    custody.bench.fault = away
    await custody.sign(operation)
    custody.bench.fault = null

    expect(await custody.sign(renamed(account, 'away-rival-2'))).toMatchObject({ kind: 'signed' })
    expect(await custody.sign(operation)).toMatchObject({ rule: 'PREV-ONE-LIVE-SIGNATURE' })
  })

  test('after its lease has ended it lets nothing go that another call holds', async () => {
    const genesis = genesisOf('away-late', [custody.key.did])
    const late = suspendableSigner()
    custody.bench.fault = (real) => late(away(real))
    const first = custody.sign(genesis)
    await vi.waitUntil(() => late.waiting.length === 1)
    await endLeases(custody.pool)
    custody.bench.fault = null
    const second = await custody.sign(genesis)
    late.waiting[0]?.()

    expect(await first).toMatchObject({ kind: 'busy' })
    expect(await custody.sign(genesis)).toEqual(second)
  })
})

describe('a signer that used the key and lost the answer', () => {
  test('busy, and the claim stands until its lease ends; then a second intent, and signed', async () => {
    const genesis = genesisOf('lost', [custody.key.did])
    custody.bench.fault = usesKeyAndTimesOut()
    const first = await custody.sign(genesis)
    custody.bench.fault = null
    const second = await custody.sign(genesis)
    const uses = custody.bench.uses
    await endLeases(custody.pool)
    const third = await custody.sign(genesis)
    const id = idOf(first)

    expect(first).toMatchObject({ kind: 'busy', requestId: id })
    expect(second).toMatchObject({ kind: 'busy', requestId: id })
    expect(uses).toBe(1)
    expect(third).toMatchObject({ kind: 'signed', requestId: id })
    expect(await kindsOf(id)).toEqual([
      'request.proposed',
      'signature.intended',
      'request.proposed',
      'signature.intended',
      'signature.produced',
    ])
  })

  test('other bytes are denied while the lease lives, naming it, and signed afterwards', async () => {
    const account = await custody.account('lost-rival')
    custody.bench.fault = usesKeyAndTimesOut()
    const first = idOf(await custody.sign(renamed(account, 'lost-rival-1')))
    custody.bench.fault = null
    const denied = await custody.sign(renamed(account, 'lost-rival-2'))
    await endLeases(custody.pool)

    expect(denied).toMatchObject({ kind: 'denied', rule: 'PREV-ONE-LIVE-SIGNATURE' })
    expect((denied as { message: string }).message).toContain(first)
    expect(await custody.sign(renamed(account, 'lost-rival-2'))).toMatchObject({ kind: 'signed' })
  })
})

test.each(['K-256', 'P-256'] as const)(
  'a %s signer that does not normalise S: low-S is released, and only that is on record',
  async (curve) => {
    const key = curve === 'K-256' ? custody.key : custody.p256
    const n = integerOf(curveOrder(curve))
    custody.bench.fault = changedBy((raw) => {
      const s = integerOf(raw.subarray(32))
      raw.set(Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex'), 32)
      return raw
    })
    const result = await custody.sign(genesisOf(`high-${curve}`, [key.did]), { key })

    expect(result.kind).toBe('signed')
    expect(result.kind === 'signed' && isLowS(result.compact, curve)).toBe(true)
  },
)

test.each([
  { names: { home: 'eu', requestId: 'call-7' }, told: { home: 'eu', providerRequestId: 'call-7' } },
  { names: null, told: { home: null, providerRequestId: null } },
])('the entry says which home signed, and the id of the call there: $told', async (given) => {
  custody.bench.fault = given.names === null ? null : namedUse(given.names)
  const result = await custody.sign(genesisOf(`named-${given.told.home}`, [custody.key.did]))

  expect(dagCbor.decode(await bodyOf(idOf(result), 'signature.produced'))).toMatchObject(given.told)
})

test('a key without a signer: failed, and nothing is released', async () => {
  const signers = new Map(custody.bench.signers)
  custody.bench.signers.delete('pds')
  const refused = custody.sign(genesisOf('unopened', [custody.key.did]))
  await expect(refused).rejects.toMatchObject({ code: 'key-unusable' })
  for (const [id, signer] of signers) custody.bench.signers.set(id, signer)

  expect(await recordOf('unopened')).toMatchObject([{ state: 'failed' }])
})

async function reasonOf(id: string): Promise<string> {
  return (await bodyOf(id, 'request.failed')).toString('latin1')
}

async function bodyOf(id: string, kind: AuditEntry['kind']): Promise<Buffer> {
  const { rows } = await custody.pool.query<{ body: Buffer }>(
    'select body from audit_outbox where subject = $1 and kind = $2',
    [id, kind],
  )
  return rows[0]?.body ?? Buffer.alloc(0)
}
