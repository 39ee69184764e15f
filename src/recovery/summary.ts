import { createHash } from 'node:crypto'
import { quoteText } from '../plc/text.ts'
import { RecoveryError } from './error.ts'
import { remarks } from './derive.ts'
import type { Judged, Remark } from './derive.ts'
import { exclusions } from './intent.ts'
import type { Exclusion, Intent } from './intent.ts'

/** So many accounts of one kind are named one by one; the rest are counted. */
export const MAX_NAMED = 1_000

export type Named = { readonly did: string; readonly detail: string }

export type Summary = {
  readonly accounts: number
  readonly operations: { readonly count: number; readonly sha256: string }
  readonly excluded: Readonly<Record<Exclusion, number>>
  readonly remarks: Readonly<Record<Remark, number>>
  /** How many operations are for accounts of which PDS: its endpoint, quoted; `none` where none is named. */
  readonly endpoints: ReadonlyMap<string, number>
  /** The first ones of each kind. */
  readonly named: Readonly<Record<Exclusion | Remark, readonly Named[]>>
}

/** Endpoints are anybody's: so many are told apart, the others stand together. */
const MAX_ENDPOINTS = 100
const OTHER_ENDPOINTS = 'others'

/**
 * Adds up judged accounts, in their order. `operations.sha256` is over a line of DID and request digest
 * for each operation, so it names all that is to be signed.
 */
export function createSummary(): { add(judged: Judged): void; end(): Summary } {
  const digest = createHash('sha256')
  const kinds = [...exclusions, ...remarks]
  const counts = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<
    Exclusion | Remark,
    number
  >
  const named = Object.fromEntries(kinds.map((kind) => [kind, [] as Named[]])) as Record<
    Exclusion | Remark,
    Named[]
  >
  const endpoints = new Map<string, number>()
  let accounts = 0
  let operations = 0
  const count = (kind: Exclusion | Remark, name: Named): void => {
    counts[kind] += 1
    if (named[kind].length < MAX_NAMED) named[kind].push(name)
  }
  return {
    add(judged) {
      accounts += 1
      if (judged.kind === 'excluded') return count(judged.reason, judged)
      operations += 1
      digest.update(`${judged.did} ${Buffer.from(judged.digest).toString('hex')}\n`)
      for (const remark of judged.remarks) count(remark, { did: judged.did, detail: '' })
      const endpoint = judged.previous.services['atproto_pds']?.endpoint
      const name = endpoint === undefined ? 'none' : quoteText(endpoint)
      const key = endpoints.has(name) || endpoints.size < MAX_ENDPOINTS ? name : OTHER_ENDPOINTS
      endpoints.set(key, (endpoints.get(key) ?? 0) + 1)
    },
    end: () => ({
      accounts,
      operations: { count: operations, sha256: digest.digest('hex') },
      excluded: pick(exclusions, counts),
      remarks: pick(remarks, counts),
      endpoints,
      named,
    }),
  }
}

function pick<Name extends string>(names: readonly Name[], counts: Record<string, number>) {
  return Object.fromEntries(names.map((name) => [name, counts[name] ?? 0])) as Record<Name, number>
}

/** @throws RecoveryError `bundle-changed` when the evidence gives anything else than the intent says */
export function checkSummary(intent: Intent, summary: Summary): void {
  if (summary.operations.sha256 !== intent.operations.sha256) {
    const { count } = summary.operations
    throw differs(`${count} operations follow from the evidence, and they are not those it names`)
  }
  const wrong = exclusions.find((reason) => summary.excluded[reason] !== intent.excluded[reason])
  if (wrong !== undefined) {
    const [found, said] = [summary.excluded[wrong], intent.excluded[wrong]]
    throw differs(`${found} accounts are excluded as ${wrong}; the intent says ${said}`)
  }
}

function differs(message: string): RecoveryError {
  return new RecoveryError('bundle-changed', `the intent and its evidence differ: ${message}`)
}

const EXCLUDED: Readonly<Record<Exclusion, string>> = {
  'not-registered': 'the directory does not know them',
  unread: 'their logs could not be read when this was planned',
  'invalid-log': 'their logs are not valid',
  tombstoned: 'they have ended',
  'already-replaced': 'they have the new key already',
  'lost-key-not-listed': 'they do not list the lost key',
  'recovery-key-not-listed': 'they do not list the recovery key: it CANNOT SAVE them',
  limits: 'the operation would break a limit of the directory',
}

const REMARKS: Readonly<Record<Remark, string>> = {
  'key-above-recovery': 'a key above the recovery key can undo this for 72 hours',
  'recovery-below-server': 'the recovery key stands below the server’s',
  'other-key': 'another rotation key is listed; it stays',
  'key-repeated': 'the lost key was listed more than once',
  legacy: 'still as a legacy genesis made it',
  nullified: 'a part of the history is nullified',
}

/** For people: totals that add up, then every account that is not like the others. ASCII but for our words. */
export function renderSummary(intent: Intent, summary: Summary): string {
  const { accounts, operations, endpoints } = summary
  const listed = [...exclusions, ...remarks].flatMap((kind) => renderNamed(kind, summary))
  return [
    `ceremony ${intent.ceremony}, ${intent.env}, planned ${intent.made}${intent.planner === null ? '' : ` by ${intent.planner}`}`,
    `what is done: ${intent.transformation}`,
    `  lost key:     ${intent.lost}`,
    `  new key:      ${intent.did}`,
    `  recovery key: ${intent.recovery}`,
    '',
    `${accounts} accounts:`,
    `  ${operations.count} get the new key in the place of the lost one`,
    ...exclusions
      .filter((reason) => summary.excluded[reason] > 0)
      .map(
        (reason) => `  ${summary.excluded[reason]} get nothing: ${EXCLUDED[reason]} (${reason})`,
      ),
    ...remarks
      .filter((remark) => summary.remarks[remark] > 0)
      .map((remark) => `  look at ${summary.remarks[remark]}: ${REMARKS[remark]} (${remark})`),
    '',
    'accounts by the PDS that they name:',
    ...[...endpoints].sort(([, a], [, b]) => b - a).map(([name, count]) => `  ${count} ${name}`),
    ...(listed.length === 0 ? [] : ['', 'one by one:', ...listed]),
  ]
    .map((line) => `${line}\n`)
    .join('')
}

function renderNamed(kind: Exclusion | Remark, { named, excluded, remarks: remarked }: Summary) {
  const all = { ...excluded, ...remarked }[kind]
  const lines = named[kind].map(
    ({ did, detail }) => `  ${kind}: ${did}${detail === '' ? '' : ` (${detail})`}`,
  )
  const more = all - lines.length
  return more > 0 ? [...lines, `  ${kind}: and ${more} more`] : lines
}
