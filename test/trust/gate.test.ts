import { describe, expect, test } from 'vitest'
import type { Held } from '../../src/sequencer/held.ts'
import { changeHeld } from '../../src/sequencer/change-held.ts'
import { HeldError } from '../../src/sequencer/held.ts'
import { createTrustGate } from '../../src/trust-gate.ts'
import { encodeTrust, recordOf } from '../../src/trust/record.ts'
import { roster } from '../policy/arbitrary.ts'

const loaded = { env: 'prod' as const, digest: new Uint8Array(32).fill(1), roster }
const inForce = encodeTrust(recordOf(loaded, null))
const heldWith = (trust: Uint8Array | null): Held => ({
  storeId: '00000000-0000-4000-8000-000000000000',
  origin: 'localhost/audit/1',
  size: 0,
  root: new Uint8Array(32),
  trust,
  frozen: [],
})

function gateOver(read: () => Promise<Held | null>) {
  const clock = { ms: 0 }
  return { clock, gate: createTrustGate({ read }, loaded, () => clock.ms) }
}

describe('signing', () => {
  test('is open while what was loaded is in force', async () => {
    const { gate } = gateOver(async () => heldWith(inForce))
    expect((await gate.look()).cause).toBeNull()
  })

  test.each([
    ['there is no held record', null, /trust init/],
    ['there is no trust record', heldWith(null), /trust init/],
    [
      'it is frozen in an unknown way',
      { ...heldWith(inForce), frozen: ['something'] },
      /not known here/,
    ],
    ['it is malformed', heldWith(new Uint8Array(9)), /not a trust record/],
    [
      'other policies are in force',
      heldWith(encodeTrust(recordOf({ ...loaded, digest: new Uint8Array(32) }, null))),
      /policies.*restart/,
    ],
    [
      'other officers are in force',
      heldWith(encodeTrust(recordOf({ ...loaded, roster: null }, null))),
      /roster.*restart/,
    ],
  ])('stops where %s', async (_what, held, cause) => {
    const { gate } = gateOver(async () => held)
    expect((await gate.look()).cause).toMatch(cause)
  })

  test('stops where the record cannot be read, and goes on when it can', async () => {
    let away = true
    const { gate, clock } = gateOver(async () => {
      if (away) throw new HeldError('unreadable', 'away')
      return heldWith(inForce)
    })
    expect((await gate.look()).cause).toMatch(/cannot be read/)
    away = false
    clock.ms = 1_000
    expect((await gate.look()).cause).toBeNull()
  })

  test('stops where the store never answers', async () => {
    const { gate } = gateOver(async () => await new Promise<Held>(() => {}))
    expect((await gate.look()).cause).toMatch(/cannot be read/)
  })

  test('reads again after a second, and once for all who ask meanwhile', async () => {
    let reads = 0
    const { gate, clock } = gateOver(async () => {
      reads += 1
      return heldWith(inForce)
    })
    await Promise.all([gate.look(), gate.look(), gate.look()])
    clock.ms = 999
    await gate.look()
    expect(reads).toBe(1)
    clock.ms = 1_000
    await gate.look()
    expect(reads).toBe(2)
  })
})

describe('the held record is changed', () => {
  /** In memory; a conflict for each of the first `conflicts` swaps. */
  function storeWith(first: Held, conflicts: number) {
    const state = { held: first, swaps: 0 }
    return {
      state,
      read: async () => state.held,
      create: async () => await Promise.reject(new HeldError('conflict', 'there is one')),
      replace: async (_held: Held, next: Held) => {
        state.swaps += 1
        // A checkpoint of the sequencer came in between.
        if (state.swaps <= conflicts) {
          state.held = { ...state.held, size: state.held.size + 1 }
          throw new HeldError('conflict', 'changed')
        }
        return (state.held = next)
      },
      close: async () => {},
    }
  }

  test('over a checkpoint that came in between, which stays', async () => {
    const store = storeWith(heldWith(null), 2)
    const change = (held: Held | null) => ({ ...(held ?? heldWith(null)), trust: inForce })
    expect(await changeHeld(store, change)).toMatchObject({ size: 2, trust: inForce })
  })

  test('not at all where it is so already', async () => {
    const store = storeWith(heldWith(inForce), 0)
    await changeHeld(store, (held) => held ?? heldWith(null))
    expect(store.state.swaps).toBe(0)
  })

  test('not for ever', async () => {
    const store = storeWith(heldWith(null), 1_000)
    const change = (held: Held | null) => ({ ...(held ?? heldWith(null)), trust: inForce })
    await expect(changeHeld(store, change)).rejects.toThrow(HeldError)
  })
})
