import type { Matter, Signatory } from '../../src/approval/matter.ts'
import { createSay } from '../../src/custody/approve.ts'
import type { SayResult } from '../../src/custody/approve.ts'
import { createProposeAnew } from '../../src/custody/propose-anew.ts'
import { createPropose } from '../../src/custody/propose.ts'
import { createShowAsked } from '../../src/custody/show-asked.ts'
import type { ShownAsked } from '../../src/custody/show-asked.ts'
import { sweep } from '../../src/store/sweep.ts'
import { persons, rosterYaml } from '../policy/officers.ts'
import { openCustody } from './custody.ts'
import type { Signed } from './operations.ts'
import { updateOf } from './operations.ts'
import { saidBy, withOfficers } from './officers.ts'

export type Approving = Awaited<ReturnType<typeof openApproving>>

/** Custody with officers: alice and bob of one organisation, carol and dora of another. */
export async function openApproving({
  policy = withOfficers,
  ...options
}: { operatedBy?: readonly string[]; policy?: (shipped: string) => string } = {}) {
  const custody = await openCustody({
    policy,
    roster: rosterYaml(Object.values(persons)),
    ...options,
  })
  const roster = custody.policies.roster!
  const deps = { ...custody.deps, approvals: custody.approvals }
  const propose = createPropose(custody.deps)
  const say = createSay(deps)
  const show = createShowAsked({ ...deps, now: () => new Date() })

  async function shown(requestId: string): Promise<ShownAsked> {
    const found = await custody.approvals.find(requestId)
    const asked = found === null ? null : await show(found.request)
    if (asked === null) throw new Error(`nobody was asked about ${requestId}`)
    return asked
  }

  async function saying(
    decision: 'approve' | 'reject',
    requestId: string,
    person: string,
    fields: Partial<Signatory> & { matter?: Partial<Matter> } = {},
  ): Promise<SayResult> {
    const { matter = {}, ...own } = fields
    const about = { ...(await shown(requestId)).matter, ...matter }
    const raw = await saidBy(person, about, roster, { decision, ...own })
    return await say({ requestId, officer: person, decision, raw })
  }

  return {
    custody,
    roster,
    propose,
    proposeAnew: createProposeAnew({ ...custody.deps, propose }),
    say,
    shown,
    approve: async (id: string, person: string, fields = {}) =>
      await saying('approve', id, person, fields),
    reject: async (id: string, person: string, fields = {}) =>
      await saying('reject', id, person, fields),
    sweep: async () => await sweep(custody.db),
    async stateOf(id: string): Promise<string> {
      const { rows } = await custody.pool.query<{ state: string }>(
        'select state from requests where id = $1',
        [id],
      )
      return rows[0]?.state ?? 'none'
    },
    async entriesOf(id: string): Promise<string[]> {
      const { rows } = await custody.pool.query<{ kind: string }>(
        'select kind from audit_outbox where subject = $1 order by id',
        [id],
      )
      return rows.map(({ kind }) => kind)
    },
  }
}

const atproto = 'did:key:zQ3shhP93WnMQozrnxF93QDGhcJX62BFLvsvgkMFcq4HzUw7u'

/** Needs two officers of two organisations. */
export const movedTo = (previous: Signed, host: string) =>
  updateOf(previous, {
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: `https://${host}.example.com` },
    },
  })

/** Needs one officer, and then an hour. */
export const rekeyed = (previous: Signed) =>
  updateOf(previous, { verificationMethods: { atproto } })
