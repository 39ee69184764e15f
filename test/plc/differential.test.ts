/**
 * Against @did-plc/lib 0.0.4 and @atproto/crypto 0.5.5. Where they agree we lean on them; where they do
 * not, the tests say so and why, so that a new version of theirs, or of ours, that changes it is noticed.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { type Keypair, parseDidKey, verifySignature } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import * as fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { compactToDer } from '../../src/ecdsa/der.ts'
import { parseRotationKey } from '../../src/plc/did-key.ts'
import { attachSignature, cidOf, didOfGenesis, signingBytes } from '../../src/plc/encode.ts'
import { operationData, type PlcOperation, type SignedOperation } from '../../src/plc/operation.ts'
import { verifyOperationSignature } from '../../src/plc/signature.ts'
import { plcOperation as anyPlcOperation } from './arbitrary.ts'
import {
  buildLog,
  keyNamed,
  p256KeyNamed,
  plcOperation,
  type Row,
  rowOf,
  sign,
  signLegacy,
  verdictOn,
  verify,
} from './build-log.ts'
import { flipS } from './scalars.ts'

const server = await keyNamed('server')
const recovery = await keyNamed('recovery')
const p256 = await p256KeyNamed('server')
const keys = [await keyNamed('top'), recovery, server, await keyNamed('stranger')]
const ED25519 = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'

afterEach(() => vi.useRealTimers())

describe('agreement', () => {
  test('on bytes, CID and DID of any operation', async () => {
    await fc.assert(
      fc.asyncProperty(anyPlcOperation, async (operation) => {
        const theirs = await plc.signOperation(operation, server)
        const ours = await sign(operation, server)
        expect(ours).toEqual(theirs)
        expect(didOfGenesis(ours)).toBe(await plc.didForCreateOp(theirs))
        expect(cidOf(ours)).toBe((await plc.getLastOpWithCid([theirs])).cid.toString())
      }),
      { numRuns: 200 },
    )
  })

  test.each(['alice.example.com', 'at://alice.example.com', 'http://alice.example.com'])(
    'on what a legacy genesis of %s means',
    async (name) => {
      for (const service of ['pds.example.com', 'http://pds.example.com']) {
        const legacy = await signLegacy(
          {
            type: 'create',
            signingKey: server.did(),
            recoveryKey: recovery.did(),
            handle: name,
            service,
            prev: null,
          },
          server,
        )
        const theirs = plc.normalizeOp(legacy as plc.CompatibleOp)
        expect(theirs).toMatchObject(operationData(legacy)!)
        expect(didOfGenesis(legacy)).toBe(await plc.didForCreateOp(legacy as plc.CompatibleOp))
      }
    },
  )

  // The library answers for one operation on top of a history, by the clock of the machine.
  test('on which operation may follow which, and what it nullifies (R1 to R8)', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const step = fc.record({
      by: fc.constantFrom(server, server, ...keys),
      back: fc.nat({ max: 2 }),
      hours: fc.constantFrom(0.5, 1, 2, 8, 36, 72, 72.5),
      rotationKeys: fc.oneof(fc.constant(keys), fc.shuffledSubarray(keys, { minLength: 1 })),
      tombstone: fc.nat({ max: 9 }).map((pick) => pick === 0),
    })
    const verdicts = { accepted: 0, nullifying: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 8 }), async (steps) => {
        let log = await buildLog([keys[0]!, recovery, server], server)
        let hours = 0
        for (const { by, back, rotationKeys, tombstone, ...next } of steps) {
          hours += next.hours
          const prev = log[Math.max(0, log.length - 1 - back)]!.cid
          const rotation = rotationKeys.map((key) => key.did())
          const operation = await sign(
            tombstone
              ? { type: 'plc_tombstone', prev }
              : plcOperation({ rotationKeys: rotation, prev }),
            by,
          )
          const row = rowOf(log[0]!.did, operation, hours)
          const nullified = await nullifiedByLibrary(log, row)
          const flagged = log.map((each) =>
            nullified?.includes(each.cid) ? { ...each, nullified: true } : each,
          )
          const verdict = await verdictOn([...flagged, row])
          expect(verdict === 'valid').toBe(nullified !== null)
          if (nullified === null) verdicts.refused++
          else verdicts[nullified.length > 0 ? 'nullifying' : 'accepted']++
          if (nullified !== null) log = [...flagged, row]
        }
      }),
      { numRuns: 150 },
    )
    for (const count of Object.values(verdicts)) expect(count).toBeGreaterThan(5)
  })

  test.each([server, p256])('on a strict signature, good or bad', async (key) => {
    const operation = plcOperation({ rotationKeys: [key.did()] })
    const bytes = signingBytes(operation)
    const compact = await key.sign(bytes)
    const curve = key === server ? 'K-256' : 'P-256'
    const candidates = [compact, flipS(curve, compact), compact.with(5, compact[5]! ^ 1)]
    const theirs = await Promise.all(
      candidates.map((sig) => verifySignature(key.did(), bytes, sig)),
    )
    const ours = await Promise.all(
      candidates.map((sig) => accepts(attachSignature(operation, sig))),
    )
    expect(theirs).toEqual([true, false, false])
    expect(ours).toEqual(theirs)
  })
})

describe('@did-plc/lib accepts signatures which a directory refuses', () => {
  test.each([
    { what: 'padding', key: server, spell: (compact: Uint8Array) => `${text(compact)}==` },
    {
      what: 'DER on K-256',
      key: server,
      spell: (compact: Uint8Array) => text(compactToDer(compact)),
    },
    {
      what: 'high S on P-256',
      key: p256,
      spell: (compact: Uint8Array) => text(flipS('P-256', compact)),
    },
  ])('$what: the library accepts, we refuse', async ({ key, spell }) => {
    const operation = plcOperation({ rotationKeys: [key.did()] })
    const sig = spell(await key.sign(signingBytes(operation)))
    expect(await plc.assureValidSig([key.did()], { ...operation, sig })).toBe(key.did())
    expect(await accepts({ ...operation, sig })).toBe(false)
  })

  test.each([
    {
      what: 'high S on K-256',
      key: server,
      spell: (compact: Uint8Array) => text(flipS('K-256', compact)),
    },
    {
      what: 'DER on P-256',
      key: p256,
      spell: (compact: Uint8Array) => text(compactToDer(compact)),
    },
    { what: 'a line feed', key: server, spell: (compact: Uint8Array) => `${text(compact)}\n` },
    {
      what: 'the other alphabet',
      key: server,
      spell: (compact: Uint8Array) => `+${text(compact).slice(1)}`,
    },
    {
      what: 'stray bits',
      key: server,
      spell: (compact: Uint8Array) => withStrayBit(text(compact)),
    },
  ])('$what: both refuse', async ({ key, spell }) => {
    const operation = plcOperation({ rotationKeys: [key.did()] })
    const sig = spell(await key.sign(signingBytes(operation)))
    await expect(plc.assureValidSig([key.did()], { ...operation, sig })).rejects.toBeDefined()
    expect(await accepts({ ...operation, sig })).toBe(false)
  })
})

describe('@did-plc/lib differs on whole logs', () => {
  const FOLDER = new URL('../vectors/plc-audit-logs/', import.meta.url)
  const vectors = ['valid', 'invalid'].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, FOLDER)).map((file) => `${folder}/${file}`),
  )
  // It sees active operations only, so no nullification; the signatures are those of the tests above.
  const WRONG = [
    'invalid/log_invalid_nullification_too_slow.json',
    'invalid/log_invalid_sig_b64_padding_chars.json',
    'invalid/log_invalid_sig_der.json',
  ]

  test.each(vectors)('%s', async (file) => {
    const log = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Row[]
    const ours = (await verdictOn(log)) === 'valid'
    expect(ours).toBe(file.startsWith('valid/'))
    expect((await libraryTakes(log)) === ours).toBe(!WRONG.includes(file))
  })

  test.each<{ what: string; library: boolean; ours: boolean; log: () => Promise<Row[]> }>([
    {
      what: 'an unknown field: its schemas are not strict, and what it ignores is signed',
      library: true,
      ours: false,
      log: () => genesisOf({ extra: 'x' } as Partial<PlcOperation>),
    },
    {
      what: 'prev as the same CID in another base: it compares CIDs, we and Go compare texts',
      library: true,
      ours: false,
      log: async () => {
        const [first] = await buildLog([server], server)
        const prev = CID.parse(first!.cid).toString(base58btc)
        const next = await sign(plcOperation({ rotationKeys: [server.did()], prev }), server)
        return [first!, rowOf(first!.did, next, 1)]
      },
    },
    {
      what: 'a lone surrogate: it takes the encoding of another text',
      library: true,
      ours: false,
      log: () => genesisOf({ alsoKnownAs: ['\ud800'] }),
    },
    {
      what: 'times that do not increase: it looks at the time of forks only, we follow Go',
      library: true,
      ours: false,
      log: () => buildLog([server], server, [{ by: server, hours: 0 }]),
    },
    {
      what: 'a longer DID that its genesis also begins with',
      library: true,
      ours: false,
      log: async () => {
        const [row] = await buildLog([server], server)
        const did = await plc.didForCreateOp(row!.operation as plc.CompatibleOp, 40)
        return [{ ...row!, did }]
      },
    },
    {
      what: 'six rotation keys in a genesis: old logs hold them, the directory allows ten',
      library: false,
      ours: true,
      log: () => buildLog(Array<Keypair>(6).fill(server), server),
    },
    {
      what: 'a verification method of another kind of key, which did:plc allows',
      library: false,
      ours: true,
      log: () => genesisOf({ verificationMethods: { other: ED25519 } }),
    },
    {
      what: 'an unparsable rotation key that nobody reaches',
      library: false,
      ours: true,
      log: () => buildLog([server, { did: () => 'did:key:zJunk' }], server),
    },
    {
      what: 'an update without rotation keys, which freezes the identity: valid in history',
      library: true,
      ours: true,
      log: () => buildLog([server], server, [{ by: server, hours: 1, rotationKeys: [] }]),
    },
  ])('$what', async ({ library, ours, log }) => {
    const rows = await log()
    expect(await libraryTakes(rows)).toBe(library)
    const verdict = await verdictOn(rows).catch(() => 'no log')
    expect(verdict === 'valid').toBe(ours)
  })
})

describe('@atproto/crypto leaves to us what is not the signature of 64 bytes', () => {
  test('it throws at DER and at other lengths, where the port answers false', async () => {
    const bytes = new TextEncoder().encode('an operation')
    const compact = await server.sign(bytes)
    for (const bad of [compactToDer(compact), compact.slice(1), new Uint8Array(0)]) {
      await expect(async () => verifySignature(server.did(), bytes, bad)).rejects.toThrow(
        'length 64',
      )
      expect(await verify(server.did(), bytes, bad)).toBe(false)
    }
  })

  test('on a did:key we agree, canonical ones and others', () => {
    const start = server.did().slice(0, -1)
    for (const last of '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl') {
      const did = `${start}${last}`
      expect(isAccepted(() => parseRotationKey(did))).toBe(isAccepted(() => parseDidKey(did)))
    }
  })
})

async function nullifiedByLibrary(log: readonly Row[], row: Row): Promise<string[] | null> {
  vi.setSystemTime(row.createdAt)
  const active = log.filter((each) => !each.nullified).map(indexed)
  try {
    const { nullified } = await plc.assureValidNextOp(row.did, active, row.operation)
    return nullified.map(String)
  } catch {
    return null
  }
}

function indexed(row: Row): plc.IndexedOperation {
  return {
    did: row.did,
    operation: row.operation,
    cid: CID.parse(row.cid),
    nullified: row.nullified,
    createdAt: new Date(row.createdAt),
  }
}

async function libraryTakes(log: readonly Row[]): Promise<boolean> {
  const active = log.filter((row) => !row.nullified).map((row) => row.operation)
  try {
    await plc.validateOperationLog(log[0]!.did, active)
    return true
  } catch {
    return false
  }
}

async function accepts(operation: SignedOperation): Promise<boolean> {
  const { rotationKeys } = operationData(operation)!
  return verifyOperationSignature(operation, rotationKeys, verify).then(
    () => true,
    () => false,
  )
}

/** Signed past our own parser, as a foreign implementation could. */
async function genesisOf(fields: Partial<PlcOperation>): Promise<Row[]> {
  const operation = plcOperation({ rotationKeys: [server.did()], ...fields })
  const signed = (await plc.signOperation(operation, server)) as SignedOperation
  const row = { operation: signed, nullified: false, createdAt: '2026-01-01T00:00:00.000Z' }
  return [{ ...row, did: await plc.didForCreateOp(signed as plc.CompatibleOp), cid: cidOf(signed) }]
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

function withStrayBit(sig: string): string {
  return sig.slice(0, -1) + String.fromCharCode(sig.charCodeAt(85) + 1)
}

function isAccepted(run: () => unknown): boolean {
  try {
    run()
    return true
  } catch {
    return false
  }
}
