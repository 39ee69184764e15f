import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import * as dagCbor from '@ipld/dag-cbor'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runAuditVerify } from '../../support/audit-verify.ts'
import { custodyLog } from '../../support/custody-log.ts'
import {
  beginning,
  checkpointOf,
  keepCheckpoint,
  logSigner,
  writeCard,
  writeExport,
} from '../../support/exported-log.ts'

// The log of a service that really signed, judged by the command that an auditor runs.

const signer = logSigner()
let bodies: Uint8Array[] = []
let kept = ''

beforeAll(async () => {
  const entries = await custodyLog()
  const { at } = dagCbor.decode<{ at: number }>(entries[0]!)
  bodies = [beginning(signer, at), ...entries]
  kept = await keepCheckpoint(bodies.slice(0, 9), signer)
})

const made: string[] = []
afterAll(async () => {
  for (const dir of made) await rm(dir, { recursive: true })
})

async function exported(entries = bodies, by = signer): Promise<string> {
  const dir = await writeExport(entries, by)
  made.push(dir)
  return dir
}

const verify = runAuditVerify

type Fields = Record<string, unknown>
const decoded = (body: Uint8Array) => dagCbor.decode<Fields>(body)
const kindsOf = (entries: readonly Uint8Array[]) => entries.map((body) => decoded(body)['kind'])
const firstOf = (kind: string) => kindsOf(bodies).indexOf(kind)

/** What a thief of checkpoint key and database could put there: every entry but one as it was. */
function changed(kind: string, change: (fields: Fields) => Fields): Uint8Array[] {
  return bodies.with(
    firstOf(kind),
    new Uint8Array(dagCbor.encode(change(decoded(bodies[firstOf(kind)]!)))),
  )
}
const without = (kind: string) => bodies.toSpliced(firstOf(kind), 1)
/** Another one of base64 and of hash bytes alike: what cannot be read at all is exit 3. */
const changeCharacter = (content: Uint8Array, at: number) => {
  content[at] = content[at] === 0x41 ? 0x42 : 0x41
}
const flipped = (value: unknown) => Uint8Array.from(value as Uint8Array).with(5, 0x55)

describe('an export of the service', () => {
  test('has all that this suite speaks of', () => {
    expect(new Set(kindsOf(bodies))).toEqual(
      new Set([
        'trust.initialised',
        'policy.changed',
        'request.proposed',
        'signature.intended',
        'signature.produced',
        'request.denied',
        'request.superseded',
        'request.failed',
        'signature.postponed',
        'did.enrolled',
      ]),
    )
  })

  test('is sound with a checkpoint that was kept, and with a card that has seen it', async () => {
    const dir = await exported()
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 0 })
    const { size, root } = checkpointOf(bodies, signer)
    const seen = `seen: { size: ${size}, root: ${Buffer.from(root).toString('base64')} }`
    const card = await writeCard(`trust: holdfast/trust/v1\nlog: ${signer.vkey}\n${seen}\n`)
    expect(await verify(dir, '--trust', card)).toMatchObject({ code: 0 })
  })

  test('is sound where the log began long after its first entries were written', async () => {
    const { at } = dagCbor.decode<{ at: number }>(bodies[0]!)
    const late = bodies.with(0, beginning(signer, at + 86_400_000))
    const checkpoint = await keepCheckpoint(late.slice(0, 9), signer)
    expect(await verify(await exported(late), '--checkpoint', checkpoint)).toMatchObject({
      code: 0,
    })
  })

  test('without anything from elsewhere it is incomplete at best, and so with keys alone', async () => {
    const dir = await exported()
    const card = await writeCard(`trust: holdfast/trust/v1\nlog: ${signer.vkey}\n`)
    expect(await verify(dir)).toMatchObject({ code: 2 })
    expect(await verify(dir, '--trust', card)).toMatchObject({ code: 2 })
  })

  test('goes on in the same folder, and is sound still', async () => {
    const dir = await exported(bodies.slice(0, 12))
    await writeExport(bodies, signer, dir)
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 0 })
  })

  test('another log never goes into its folder', async () => {
    const dir = await exported()
    await expect(writeExport(bodies, logSigner(2), dir)).rejects.toThrow('another log')
    await expect(writeExport(bodies.toReversed(), signer, dir)).rejects.toThrow('another log')
  })
})

describe('files that were changed', () => {
  const entriesFile = (dir: string) => `${dir}/tile/entries/000.p/${bodies.length}`

  test.each([
    ['an entry', entriesFile],
    ['a tile', (dir: string) => `${dir}/tile/0/000.p/${bodies.length}`],
    ['the checkpoint', (dir: string) => `${dir}/checkpoint`],
  ])('%s: tampered', async (_, fileOf) => {
    const dir = await exported()
    const content = await readFile(fileOf(dir))
    changeCharacter(content, content.length - 30)
    await writeFile(fileOf(dir), content)
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 1 })
  })

  test('entries or a tile that are missing: incomplete; no checkpoint: cannot run', async () => {
    const dir = await exported()
    await rm(`${dir}/tile/0`, { recursive: true })
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 2 })
    await rm(entriesFile(dir))
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 2 })
    await rm(`${dir}/checkpoint`)
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 3 })
  })

  test('a folder that is none, options that are none: cannot run', async () => {
    const dir = await exported()
    await mkdir(`${dir}/empty`)
    expect(await verify(`${dir}/empty`)).toMatchObject({ code: 3 })
    expect(await verify(dir, '--forgive')).toMatchObject({ code: 3 })
    expect(await verify(dir, '--max-age', '1y')).toMatchObject({ code: 3 })
    expect(await verify(dir, '--trust', entriesFile(dir))).toMatchObject({ code: 3 })
  })
})

describe('whoever holds the checkpoint key', () => {
  test('cannot cut the tail off what an auditor has seen', async () => {
    const dir = await exported(bodies.slice(0, 5))
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 1 })
  })

  test('cannot write another history before what an auditor has seen', async () => {
    const dir = await exported(bodies.toSpliced(3, 1))
    expect(await verify(dir, '--checkpoint', kept)).toMatchObject({ code: 1 })
  })

  test('and another key makes no log of the name on the card', async () => {
    const other = logSigner(2)
    const dir = await exported([beginning(other, 0), ...bodies.slice(1)], other)
    const card = await writeCard(`trust: holdfast/trust/v1\nlog: ${signer.vkey}\n`)
    expect(await verify(dir, '--trust', card)).toMatchObject({ code: 1 })
  })

  test.each([
    ['a signature without its intent', () => without('signature.intended')],
    ['a signature without its decision', () => without('request.proposed')],
    ['decisions without their policies', () => without('policy.changed')],
    ['a log without its beginning', () => without('trust.initialised')],
    ['an account without whose it is', () => without('did.enrolled')],
    [
      'a signature of other bytes',
      () =>
        changed('signature.produced', (entry) => ({
          ...entry,
          signature: flipped(entry['signature']),
        })),
    ],
    [
      'another CID',
      () =>
        changed('signature.produced', (entry) => ({
          ...entry,
          cid: `${String(entry['cid']).slice(0, -2)}ea`,
        })),
    ],
    [
      'an intent for another key',
      () => changed('signature.intended', (entry) => ({ ...entry, keyDid: 'did:key:other' })),
    ],
    [
      'an intent for other bytes',
      () =>
        changed('signature.intended', (entry) => ({ ...entry, digest: flipped(entry['digest']) })),
    ],
    [
      'a digest of other bytes',
      () =>
        changed('request.proposed', (entry) => ({ ...entry, digest: flipped(entry['digest']) })),
    ],
    [
      'a decision that the rules do not give',
      () =>
        changed('request.proposed', (entry) => ({
          ...entry,
          decision: { kind: 'allow', rules: ['NO-SUCH-RULE'], limits: [] },
        })),
    ],
    [
      'a denial made a proposal',
      () => changed('request.denied', (entry) => ({ ...entry, kind: 'request.proposed' })),
    ],
    [
      'a count that was over the limit',
      () =>
        changed('request.proposed', (entry) => ({
          ...entry,
          operationCounts: { hour: 99, day: 99, week: 99 },
        })),
    ],
    [
      'policies that are not those of the digest',
      () => changed('policy.changed', (entry) => ({ ...entry, digest: flipped(entry['digest']) })),
    ],
    [
      'a time an hour back',
      () =>
        changed('signature.produced', (entry) => ({
          ...entry,
          at: Number(entry['at']) - 3_600_000,
        })),
    ],
    [
      'a signature that is there twice',
      () =>
        bodies.toSpliced(firstOf('signature.produced'), 0, bodies[firstOf('signature.produced')]!),
    ],
    [
      'a lease that is used twice',
      () => [
        ...bodies,
        ...bodies.slice(firstOf('request.proposed'), firstOf('signature.produced') + 1),
      ],
    ],
    ['nonsense', () => [...bodies, Buffer.from('nonsense')]],
  ])('cannot make %s sound', async (_, forge) => {
    const dir = await exported(forge())
    expect(await verify(dir)).toMatchObject({ code: 1 })
  })

  test('an entry of a kind that this version does not know leaves it incomplete, never sound', async () => {
    const at = decoded(bodies.at(-1)!)['at']
    const strange = new Uint8Array(dagCbor.encode({ v: 1, at, kind: 'request.forgiven' }))
    const dir = await exported([...bodies, strange])
    const outcome = await verify(dir, '--checkpoint', kept)
    expect(outcome).toMatchObject({ code: 2 })
    expect(outcome.text).toContain('request.forgiven')
  })

  test('policies that are not on the card were nobody’s to put in force', async () => {
    const policies = Buffer.alloc(32).toString('hex')
    const card = await writeCard(
      `trust: holdfast/trust/v1\nlog: ${signer.vkey}\npolicies: ["${policies}"]\n`,
    )
    expect(await verify(await exported(), '--trust', card)).toMatchObject({ code: 1 })
  })
})
