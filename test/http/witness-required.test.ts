import { rm } from 'node:fs/promises'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import type { CheckpointView } from '../../src/api/audit.ts'
import { formatVkey } from '../../src/audit/note.ts'
import { startJobs } from '../../src/jobs.ts'
import type { Jobs } from '../../src/jobs.ts'
import type { Signer } from '../../src/signer/signer.ts'
import { createApprovalStore } from '../../src/store/approvals.ts'
import { persons, rosterYaml } from '../policy/officers.ts'
import { movedTo } from '../support/approving.ts'
import { kmsCaller } from '../support/kms-caller.ts'
import { missingForWitness, openLiteWitness } from '../support/litewitness.ts'
import type { LiteWitness } from '../support/litewitness.ts'
import { saidBy, withOfficers } from '../support/officers.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import type { Signed } from '../support/operations.ts'
import { outsidePool } from '../support/postgres.ts'
import { bearerOf, startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

// Moving an account needs two officers, and that a witness elsewhere has seen the intent before the key is used:
// the service as it is, a witness that is not ours.

const missing = missingForWitness()
if (missing !== null && process.env['CI'] === 'true') throw new Error(`missing: ${missing}`)

describe.skipIf(missing !== null)('a rule that requires a witness', () => {
  let witness: LiteWitness
  let service: Service
  let jobs: Jobs
  let pds: HoldfastClient
  let kms: ReturnType<typeof kmsCaller>
  let used = 0
  let accounts = 0

  const counting = (signer: Signer): Signer => ({
    ...signer,
    sign: async (intent, signal) => {
      used += 1
      return await signer.sign(intent, signal)
    },
  })

  const witnessed = (shipped: string): string =>
    withOfficers(shipped)
      .replace('    executeBy: 4h', '    executeBy: 4h\n    witness: required')
      .replace(
        'publication: 1h',
        `publication: 1h\nwitnesses: { quorum: 1, of: [{ url: "${witness.url}", key: "${witness.vkey}" }] }`,
      )

  beforeAll(async () => {
    witness = await openLiteWitness()
    service = await startService({
      officers: { roster: rosterYaml(Object.values(persons)), policy: witnessed },
      wrapSigner: counting,
    })
    const { accessKeyId, secretAccessKey, token } = service.pds
    pds = createClient({ url: service.url, credential: { bearer: `${accessKeyId}.${token}` } })
    kms = kmsCaller(service.url, { accessKeyId, secretAccessKey })
    jobs = startJobs(service.context, pino({ level: 'silent' }))
    const { auditLog } = service.context
    const { origin } = (await auditLog.held.read())!
    witness.trust(origin, formatVkey(auditLog.signerFor(origin)!.key))
  })
  afterAll(async () => {
    kms.close()
    await jobs.stop()
    await service.stop()
    await witness.remove()
    await rm(service.dataDir, { recursive: true, force: true })
  })

  async function account(): Promise<Signed> {
    const operation = genesisOf(`witnessed-${(accounts += 1)}`, [service.keyDid])
    const { id } = await pds.propose({ key: 'pds', operation })
    await pds.sign(id)
    const { did, cid, signedOperation } = await pds.submit(id)
    return { did: did!, cid: cid!, operation: signedOperation! }
  }

  /** A move that two officers of two organisations have approved. */
  async function approvedMove(): Promise<ReturnType<typeof movedTo>> {
    const operation = movedTo(await account(), `new-${accounts}`)
    const { id } = await pds.propose({ key: 'pds', operation })
    const { context } = service
    for (const person of ['alice', 'carol']) {
      const kept = await createApprovalStore(context.db, context.sealer).find(id)
      const asked = await context.showAsked(kept!.request)
      const raw = await saidBy(person, asked!.matter, context.policies.roster!)
      await context.say({ requestId: id, officer: person, decision: 'approve', raw })
    }
    return operation
  }

  /** As the SDK of a PDS does it: what is busy is asked for again. */
  async function signed(operation: ReturnType<typeof movedTo>) {
    for (let tries = 0; ; tries += 1) {
      const answer = await kms.sign(operation)
      const isBusy = 'code' in answer && answer.code === 'ThrottlingException'
      if (!isBusy || tries === 5) return answer
    }
  }

  const entries = async (kind: string): Promise<number> => {
    const outside = outsidePool(service.database)
    const { rows } = await outside.query<{ count: number }>(
      `select count(*)::int from (select body from audit_entries union all select body from audit_outbox) as all_of_them
       where position(convert_to($1, 'UTF8') in body) > 0`,
      [kind],
    )
    await outside.end()
    return rows[0]?.count ?? 0
  }

  test('is met where the witness has cosigned the intent', async () => {
    const operation = await approvedMove()
    const before = used
    expect(await signed(operation)).toMatchObject({ status: 200 })
    expect(used).toBe(before + 1)
    const headers = { authorization: bearerOf(service.pds) }
    const answer = await fetch(`${service.url}/v1/audit/checkpoint`, { headers })
    const { checkpoint, cosigned } = (await answer.json()) as CheckpointView
    expect(checkpoint).not.toContain('witness.test')
    expect(cosigned).toContain('— witness.test/one ')
  })

  test('uses no key while it has not, and the same request is signed once it has', async () => {
    const operation = await approvedMove()
    await witness.stop()
    const before = used
    const postponed = await entries('signature.postponed')
    const answer = await kms.sign(operation)
    expect(answer).toMatchObject({ status: 400, code: 'ThrottlingException' })
    expect('message' in answer ? answer.message : '').toContain('no quorum of witnesses')
    expect(used).toBe(before)
    expect(await entries('signature.postponed')).toBe(postponed + 1)
    // What asks for no witness waits for none.
    const base = await account()
    expect(await kms.sign(renamed(base, 'meanwhile'))).toMatchObject({ status: 200 })
    await witness.start()
    expect(await signed(operation)).toMatchObject({ status: 200 })
  })

  test('uses no key when somebody has shown the witness another history', async () => {
    const operation = await approvedMove()
    const { origin } = (await service.context.auditLog.held.read())!
    const isLevel = async () => {
      const { witnesses, auditLog } = service.context
      return (await witnesses.newest())?.size === (await auditLog.store.checkpoint())?.size
    }
    await expect.poll(isLevel, { timeout: 15_000 }).toBe(true)
    witness.forge(origin, new Uint8Array(32))
    const before = used
    expect(await kms.sign(operation)).toMatchObject({ code: 'ThrottlingException' })
    expect(used).toBe(before)
    const alarms = service.lines.filter(({ event }) => event === 'witness-inconsistent')
    expect(alarms[0]).toMatchObject({ alarm: true, place: 'witness.test/one' })
  })
})
