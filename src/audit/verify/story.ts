import type { EcdsaVerify } from '../../plc/signature.ts'
import { quoteText } from '../../plc/text.ts'
import { agreementProblems, askedOf, isOver, isSo, takeSaid } from './agreement.ts'
import type { Asked, Case } from './agreement.ts'
import { createDeeds } from './deeds.ts'
import { examineRun, settleSignature } from './examine.ts'
import type { Fact, Finding, IntendedFact, JudgedFact, ProducedFact, SaidFact } from './fact.ts'
import { createFreezes } from './freezes.ts'
import { createInForce, hexOf } from './in-force.ts'

/** Transactions commit in another order than their clocks say, within bounds far below this. */
const CLOCK_MS = 60_000

/** Written by whoever begins or mends the log, at once, while others wait to be taken in. */
const ofTheLog: ReadonlySet<string> = new Set([
  'trust.initialised',
  'database.restored',
  'log.forked',
])

type State = 'proposed' | 'denied' | 'intended' | 'produced' | 'confirmed' | 'ended' | 'replaced'

/** A request as the log tells it up to here. */
type Known = {
  state: State
  judged: JudgedFact
  asked: Asked | null
  lease: string | null
  cid: string | null
  did: string | null
}

export type Story = Awaited<ReturnType<typeof createStory>>

/**
 * Holds the entries of a log against each other, in its order, which is the only one: every signature
 * has its intent and every intent its decision and, where that asks for it, the agreement of officers; no
 * lease and no nonce is used twice, one signature is live on one `prev`, what was replaced is not handed
 * out again, and nothing is said of what was not signed.
 */
export function createStory(verify: EcdsaVerify) {
  const findings: Finding[] = []
  const unjudged: Finding[] = []
  const inForce = createInForce(verify)
  const freezes = createFreezes(inForce, verify)
  const deeds = createDeeds({ inForce, freezes, verify })
  const requests = new Map<string, Known>()
  const leases = new Set<string>()
  /** By hex of the nonce, hex of what it was used for. */
  const nonces = new Map<string, string>()
  /** Who holds a `prev`, or the digest of a genesis: the request whose signature, made or intended, is live. */
  const live = new Map<string, string>()
  /** Bytes whose signature was replaced: caller, key and digest. */
  const barred = new Set<string>()
  const owners = new Map<string, string>()
  const ours = new Map<string, { did: string; at: number }>()
  let newest = 0

  async function take(fact: Fact): Promise<void> {
    const say = (message: string) => findings.push({ index: fact.index, message })
    switch (fact.is) {
      case 'wrong':
        say(fact.message)
        return
      case 'unknown':
        unjudged.push({ index: fact.index, message: fact.message })
        return
      case 'deferred':
        return await takeDeferred(fact)
      case 'judged':
        checkClock(fact.at, say)
        return takeJudged(fact.of, fact.at, say)
      case 'intended':
        checkClock(fact.at, say)
        await inForce.settle(say)
        return takeIntended(fact.of, fact.at, say)
      case 'produced':
        checkClock(fact.at, say)
        return await takeProduced(fact.of, fact.at, say)
      case 'said':
        checkClock(fact.at, say)
        return takeWord(fact.of, fact.at, say)
      case 'plain':
        checkClock(fact.at, say, ofTheLog.has(fact.of.kind))
        return await takePlain(fact, say)
    }
  }

  type Say = (message: string) => void

  /** @param ahead it stands before what waited for it, which may be older by any time */
  function checkClock(at: number, say: Say, ahead = false): void {
    if (at < newest - CLOCK_MS) say('its time is more than a minute before one that came earlier')
    if (!ahead) newest = Math.max(newest, at)
  }

  async function takeDeferred({ index, body }: Fact & { is: 'deferred' }): Promise<void> {
    const again = await examineRun({ start: index, bodies: [body] }, inForce.known, verify)
    for (const fact of again) {
      if (fact.is !== 'deferred') await take(fact)
      else findings.push({ index, message: `${fact.lacks} that are not in the log before it` })
    }
  }

  function takeJudged(judged: JudgedFact, at: number, say: Say): void {
    checkStanding(judged, say)
    const known = requests.get(judged.request)
    const state = judged.kind === 'request.denied' ? 'denied' : 'proposed'
    if (known === undefined) {
      const { did } = judged
      const asked = state === 'denied' ? null : askedOf(judged, at, inForce)
      requests.set(judged.request, { state, judged, asked, lease: null, cid: null, did })
      return
    }
    if (state === 'denied' || (known.state !== 'proposed' && known.state !== 'intended')) {
      say(`request ${quoteText(judged.request)} was ${known.state} and is ${state} again`)
      return
    }
    if (identityOf(known.judged) !== identityOf(judged)) say('its request was about other bytes')
    // A claim that died is judged again; until the new intent the old one stands.
    known.judged = judged
  }

  /** What was recorded of the operation that `prev` names must be what the log itself tells. */
  function checkStanding({ prev, did, standing }: JudgedFact, say: Say): void {
    if (standing === null || did === null || prev === null) return
    const signed = ours.get(prev)
    if (standing.ours && (signed?.did !== did || signed.at !== standing.recordedAt)) {
      say(`prev ${prev} is called ours, and the log has no such signature`)
    }
    if (signed !== undefined && signed.did !== did) say(`prev ${prev} is of ${signed.did}`)
    if (owners.get(did) !== standing.owner) {
      say(`${did} is called ${quoteText(standing.owner)}'s, and the log does not say so`)
    }
  }

  function takeIntended(entry: IntendedFact, at: number, say: Say): void {
    const known = requests.get(entry.request)
    if (known === undefined || (known.state !== 'proposed' && known.state !== 'intended')) {
      say(`an intent without a decision that allows it (request is ${stateOf(known)})`)
      return
    }
    const { judged } = known
    if (leases.has(entry.lease)) say('its lease was used before')
    leases.add(entry.lease)
    if (entry.digest !== judged.digest) say('it intends other bytes')
    if (entry.keyDid !== judged.keyDid) say('it intends another key')
    checkAgreement(entry.agreement, known, at, say)
    freezes.checkIntent(judged, at, say)
    if (barred.has(identityOf(judged))) say('the signature of these bytes was replaced before')
    for (const id of entry.replaces) {
      if (requests.get(id)?.state !== 'replaced')
        say(`it replaces ${quoteText(id)}, which is not ended`)
    }
    const place = placeOf(judged)
    const holder = live.get(place)
    if (holder !== undefined && holder !== entry.request) {
      say(`request ${quoteText(holder)} has a live signature on the same prev`)
    }
    live.set(place, entry.request)
    known.state = 'intended'
    known.lease = entry.lease
  }

  function checkAgreement(
    agreement: IntendedFact['agreement'],
    known: Known,
    at: number,
    say: Say,
  ): void {
    const given = caseOf(known, at)
    if (given !== null) agreementProblems(agreement, given).forEach(say)
    else if (known.judged.asks !== null) say('officers had to agree, and they were never asked')
    else if (agreement !== null) say('it rests on an agreement that nobody was asked for')
  }

  /** null where no officer is asked. */
  function caseOf({ judged: { asks }, asked }: Known, at: number): Case | null {
    return asks === null || asked === null ? null : { asks, asked, inForce, at }
  }

  function takeWord(of: SaidFact, at: number, say: Say): void {
    const { nonce } = of.approval.statement
    const words = hexOf(of.approval.raw.statement)
    if ((nonces.get(hexOf(nonce)) ?? words) !== words) say('its nonce was used before')
    nonces.set(hexOf(nonce), words)
    const known = requests.get(of.request)
    const given = known?.state === 'proposed' ? caseOf(known, at) : null
    if (given === null) say(`nobody asks officers about its request (${stateOf(known)})`)
    else takeSaid(of, given).forEach(say)
  }

  /** What the service found of what officers said, and what comes of it. */
  function takeStanding(
    { kind, request }: { kind: `request.${'approved' | 'rejected' | 'expired'}`; request: string },
    at: number,
    say: Say,
  ): void {
    const known = requests.get(request)
    const given = known?.state === 'proposed' ? caseOf(known, at) : null
    if (known === undefined || given === null) {
      say(`nobody asks officers about its request (${stateOf(known)})`)
      return
    }
    if (kind === 'request.expired') {
      if (!isOver(given)) say('it ended before its time')
    } else if (!isSo(kind === 'request.approved' ? 'approved' : 'rejected', given)) {
      say('what officers said does not come to that')
    }
    if (kind !== 'request.approved') known.state = 'ended'
  }

  async function takeProduced(produced: ProducedFact, at: number, say: Say): Promise<void> {
    const known = requests.get(produced.request)
    if (known === undefined || known.state !== 'intended' || known.lease !== produced.lease) {
      say('a signature without its intent')
      return
    }
    const { judged } = known
    const settled = await settledOf(produced, judged)
    if (typeof settled === 'string') say(settled)
    else if (settled.over?.digest !== judged.digest || settled.over.keyDid !== judged.keyDid) {
      say('it signs other bytes, or with another key, than its intent')
    }
    known.state = 'produced'
    known.cid = produced.cid
    known.did = produced.did
    known.judged = { ...judged, unsigned: null, asks: null }
    ours.set(produced.cid, { did: produced.did, at })
    if (judged.prev === null && !owners.has(produced.did)) owners.set(produced.did, judged.caller)
  }

  async function settledOf(produced: ProducedFact, judged: JudgedFact) {
    if (produced.over !== null) return produced
    if (judged.unsigned === null) return 'the bytes that it signs are not in the log'
    return await settleSignature(produced, { ...judged, unsigned: judged.unsigned }, verify)
  }

  function end(id: string, allowed: readonly State[], say: Say): Known | null {
    const known = requests.get(id)
    if (known === undefined || !allowed.includes(known.state)) {
      say(`its request is ${stateOf(known)}`)
      return null
    }
    const place = placeOf(known.judged)
    if (live.get(place) === id) live.delete(place)
    return known
  }

  function takeSuperseded(request: string, say: Say): void {
    const known = end(request, ['proposed', 'intended', 'produced'], say)
    if (known === null) return
    const signed = known.state === 'produced'
    if (signed) barred.add(identityOf(known.judged))
    known.state = signed ? 'replaced' : 'ended'
  }

  function checkSigned(of: { request: string; did: string; cid: string }, say: Say): Known | null {
    const known = requests.get(of.request)
    const signed =
      known !== undefined && known.cid === of.cid && known.did === of.did && known.cid !== null
    if (!signed) say('it tells of an operation that its request did not sign')
    return signed ? known : null
  }

  async function takePlain(fact: Fact & { is: 'plain' }, say: Say): Promise<void> {
    const entry = fact.of
    const cannot = (message: string) => unjudged.push({ index: fact.index, message })
    if (await deeds.take(fact, say, cannot)) return
    switch (entry.kind) {
      case 'request.approved':
      case 'request.rejected':
      case 'request.expired':
        return takeStanding(entry, fact.at, say)
      case 'signature.postponed': {
        const known = end(entry.request, ['intended'], say)
        if (known === null) return
        if (known.lease !== entry.lease) say('its lease is another one')
        known.state = 'proposed'
        return
      }
      case 'request.cancelled': {
        const known = end(entry.request, ['proposed'], say)
        if (known !== null) known.state = 'ended'
        return
      }
      case 'request.failed': {
        const known = end(entry.request, ['intended'], say)
        if (known !== null) known.state = 'ended'
        return
      }
      case 'request.superseded':
        return takeSuperseded(entry.request, say)
      case 'submission.allowed':
        if (requests.get(entry.request)?.cid == null) say('it sends on what was not signed')
        return freezes.checkAllowed(entry, say)
      case 'submission.accepted':
      case 'submission.refused':
      case 'submission.unknown':
      case 'operation.nullified':
        checkSigned(entry, say)
        return
      case 'operation.confirmed': {
        const known = checkSigned(entry, say)
        if (known === null) return
        end(entry.request, ['produced'], say)
        known.state = 'confirmed'
        return
      }
      case 'did.enrolled': {
        const owner = owners.get(entry.did)
        if (owner !== undefined) say(`${entry.did} is in care of ${quoteText(owner)} already`)
        owners.set(entry.did, entry.caller)
        return
      }
      // A kind without a rule is unjudged: a log that holds it is incomplete, never sound.
      default:
        cannot(`${entry.kind} cannot be judged here`)
    }
  }

  return {
    take,
    findings: findings as readonly Finding[],
    unjudged: unjudged as readonly Finding[],
    /** In force at some time up to here. */
    known: inForce.known,
    restored: deeds.restored,
    signatures: () => ours.size,
  }
}

/** The same bytes by the same caller with the same key. */
function identityOf({ caller, keyDid, digest }: JudgedFact): string {
  return `${caller} ${keyDid} ${digest}`
}

function placeOf({ prev, digest }: JudgedFact): string {
  return prev ?? digest
}

function stateOf(known: Known | undefined): string {
  return known?.state ?? 'not there'
}
