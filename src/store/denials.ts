import type { PoolClient } from 'pg'
import type { EncodedEntry } from '../audit/entry.ts'
import type { ClaimOutcome } from '../custody/ports.ts'
import type { RequestWrite } from './claim-writes.ts'

/** Denials of one caller in a minute that are kept as requests; whoever holds its secret can make more. */
export const DENIALS_KEPT = 60

type Planned = {
  readonly request: RequestWrite | null
  readonly entries: readonly EncodedEntry[]
  readonly answer: () => ClaimOutcome<unknown>
}

const recentStatement = {
  name: 'holdfast_denials_recent',
  text: `
    select caller, count(*)::int as count from requests
    where caller = any($1::text[]) and state = 'denied'
      and created_at > clock_timestamp() - interval '1 minute'
    group by caller`,
}

const countStatement = {
  name: 'holdfast_denials_count',
  text: `
    insert into denial_counts (caller, minute, count)
    values ($1, date_trunc('minute', clock_timestamp()), 1)
    on conflict (caller, minute) do update set count = denial_counts.count + 1`,
}

/** Leaves out the denials that are one too many, and counts them: a job writes one entry for a minute. */
export async function countDenials<T extends Planned>(
  client: PoolClient,
  plans: readonly PromiseSettledResult<T>[],
): Promise<PromiseSettledResult<T>[]> {
  const denied = plans.flatMap((plan) => deniedBy(plan) ?? [])
  if (denied.length === 0) return [...plans]
  const { rows } = await client.query<{ caller: string; count: number }>({
    ...recentStatement,
    values: [[...new Set(denied)]],
  })
  const counts = new Map(rows.map(({ caller, count }) => [caller, count]))
  const kept: PromiseSettledResult<T>[] = []
  for (const plan of plans) {
    const caller = deniedBy(plan)
    const before = caller === null ? 0 : (counts.get(caller) ?? 0)
    if (caller === null || before < DENIALS_KEPT) kept.push(plan)
    else kept.push(withoutRecord(plan))
    if (caller === null) continue
    if (before >= DENIALS_KEPT) await client.query({ ...countStatement, values: [caller] })
    counts.set(caller, before + 1)
  }
  return kept
}

function deniedBy(plan: PromiseSettledResult<Planned>): string | null {
  const request = plan.status === 'fulfilled' ? plan.value.request : null
  return request?.state === 'denied' ? request.caller : null
}

function withoutRecord<T extends Planned>(plan: PromiseSettledResult<T>): PromiseSettledResult<T> {
  if (plan.status === 'rejected') return plan
  const { answer } = plan.value
  const told = () => {
    const outcome = answer()
    return outcome.kind === 'denied' ? { ...outcome, requestId: null } : outcome
  }
  return { ...plan, value: { ...plan.value, request: null, entries: [], answer: told } }
}
