import type { CustodyDeps } from './custody/ask.ts'
import type { Cancel } from './custody/cancel.ts'
import { compareOnward } from './custody/compare.ts'
import type { Compared, ForeignOperation, NullifiedOperation } from './custody/compare.ts'
import { enroll } from './custody/enroll.ts'
import type { EnrollOutcome } from './custody/enroll.ts'
import { createFindIdentity } from './custody/find-identity.ts'
import { FrozenError, SigningStoppedError } from './custody/ports.ts'
import type { RequestStore } from './custody/ports.ts'
import { createSay } from './custody/approve.ts'
import type { Say } from './custody/approve.ts'
import { createProposeAnew } from './custody/propose-anew.ts'
import type { ProposeAnew } from './custody/propose-anew.ts'
import { createPropose } from './custody/propose.ts'
import type { Propose } from './custody/propose.ts'
import { reconcile } from './custody/reconcile.ts'
import type { Reconciled } from './custody/reconcile.ts'
import { createShowAsked } from './custody/show-asked.ts'
import type { ShowAsked } from './custody/show-asked.ts'
import { createSignNow } from './custody/sign-now.ts'
import type { SignNow } from './custody/sign-now.ts'
import { createSignRequest } from './custody/sign-request.ts'
import type { SignRequest } from './custody/sign-request.ts'
import { createSubmit } from './custody/submit.ts'
import type { Submit, SubmitDeps } from './custody/submit.ts'
import type { PlcDirectory } from './directory/directory.ts'
import { createDirectoryExport } from './directory/follow.ts'
import { listAccountsOverHttp } from './directory/pds-http.ts'
import type { SubmitOperation } from './directory/submit.ts'
import { reportTo } from './events.ts'
import type { Logger } from './logger.ts'
import { measuredAction, measuredDecode, measuredParts, measuredSubmit } from './measured.ts'
import type { Metrics } from './metrics.ts'
import { decodeUnsignedOperation } from './plc/encode.ts'
import type { EcdsaVerify } from './plc/signature.ts'
import type { PolicySet } from './policy/policy-set.ts'
import type { SigningGate } from './sequencer/gate.ts'
import type { Sealer } from './sealing/sealer.ts'
import type { CommittedIntent, Signer } from './signer/signer.ts'
import { createApprovalStore } from './store/approvals.ts'
import { createCancel } from './store/cancel.ts'
import type { Database } from './store/database.ts'
import { createEnrolmentStore } from './store/enrolment.ts'
import { createFollowStore } from './store/follow-store.ts'
import { createAccountSearch } from './store/enrolment-search.ts'
import { createRequestStore } from './store/request-store.ts'
import { findKeptRequest } from './store/request-views.ts'
import { createSubmissionStore } from './store/submission.ts'
import { recordTrust } from './store/policy-sets.ts'
import { sweep } from './store/sweep.ts'
import type { Swept } from './store/sweep.ts'
import { watched, watchedCall } from './tampering.ts'
import { freezesOf } from './trust/freeze.ts'
import { frozenText, unlessFrozen } from './submit-frozen.ts'
import type { TrustGate } from './trust-gate.ts'
import type { Witnesses } from './witnesses.ts'

/** What doors and commands do with the service. */
export type UseCases = {
  readonly signNow: SignNow
  readonly propose: Propose
  readonly proposeAnew: ProposeAnew
  readonly say: Say
  readonly showAsked: ShowAsked
  /** Ends what time has ended. */
  readonly sweep: () => Promise<Swept>
  readonly signRequest: SignRequest
  readonly submit: Submit
  readonly cancel: Cancel
  /** Looks for what was submitted and not seen in the directory's log since. */
  readonly reconcile: (signal: AbortSignal) => Promise<Reconciled>
  /** Reads the directory's export on, and compares it with the record; what is strange is reported. */
  readonly follow: (signal: AbortSignal) => Promise<Followed>
  readonly enroll: (did: string, caller: string) => Promise<EnrollOutcome>
}

export type UseCaseParts = {
  readonly db: Database
  readonly sealer: Sealer
  readonly policies: PolicySet
  /** The name of this service for its officers: its public origin. */
  readonly audience: string
  readonly signers: ReadonlyMap<string, Signer>
  readonly directory: PlcDirectory
  readonly submitOperation: SubmitOperation
  readonly verify: EcdsaVerify
  readonly log: Logger
  readonly metrics: Metrics
  readonly plcUrl: string
  /** Whether anything may be signed now. */
  readonly gate: SigningGate
  /** Whether these policies are in force. */
  readonly trust: TrustGate
  readonly isCosigned: Witnesses['isCosigned']
}

/** Joins the adapters to custody, with a measuring one around each. */
export function createUseCases(parts: UseCaseParts): UseCases {
  const { db, policies, metrics } = parts
  const report = reportTo(parts.log)
  const reading = measuredParts(metrics, {
    store: gated(watched(createRequestStore(db, parts.sealer), report), parts),
    audience: parts.audience,
    directory: parts.directory,
    verify: parts.verify,
    policies,
    report,
  })
  const search = watched(createAccountSearch(db, parts.sealer), report)
  const custody: CustodyDeps = {
    ...reading,
    signers: parts.signers,
    decode: measuredDecode(metrics, decodeUnsignedOperation),
    findIdentity: createFindIdentity({ ...reading, search, listAccounts: listAccountsOverHttp }),
    isWitnessed: async (intent, caller) => await isWitnessed({ intent, caller }, parts),
  }
  const submission: SubmitDeps = {
    ...reading,
    submissions: watched(createSubmissionStore(db), report),
    submitOperation: measuredSubmit(metrics, parts.submitOperation),
  }
  const approving = {
    ...reading,
    approvals: watched(createApprovalStore(db, parts.sealer), report),
  }
  const propose = measuredAction(metrics, 'propose', createPropose(custody))
  const signNow = measuredAction(metrics, 'sign', createSignNow(custody))
  const find = watchedCall(
    async (query: { caller: string; requestId: string }) =>
      await findKeptRequest(db, parts.sealer, query),
    report,
  )
  return {
    signNow,
    propose,
    proposeAnew: createProposeAnew({ ...reading, propose }),
    say: measuredAction(metrics, 'approve', createSay(approving)),
    showAsked: createShowAsked({ ...approving, now: () => new Date() }),
    sweep: async () => await sweep(db),
    signRequest: createSignRequest({ find, signNow }),
    submit: measuredAction(metrics, 'submit', submitUnlessFrozen(submission, parts)),
    cancel: measuredAction(metrics, 'cancel', createCancel(db)),
    reconcile: async (signal) => await reconcile(submission, signal),
    follow: async (signal) => await follow(parts, reading, signal),
    enroll: async (did, caller) => await enroll(did, caller, custody),
  }
}

export type Followed = {
  readonly operations: number
  readonly own: number
  readonly foreign: readonly ForeignOperation[]
  readonly nullified: readonly NullifiedOperation[]
}

async function follow(
  { db, sealer, policies, plcUrl }: UseCaseParts,
  reading: Pick<CustodyDeps, 'directory' | 'verify' | 'report'>,
  signal: AbortSignal,
): Promise<Followed> {
  let found: Followed = { operations: 0, own: 0, foreign: [], nullified: [] }
  const deps = {
    ...reading,
    store: createFollowStore(db, createEnrolmentStore(db, sealer)),
    directoryUrl: plcUrl,
    directoryExport: createDirectoryExport(plcUrl),
    ourKeys: policies.keys.filter((key) => key.class === 'online').map((key) => key.did),
  }
  const onPage = ({ lines, own, foreign, nullified }: Compared) => {
    for (const operation of foreign) reading.report({ kind: 'operation-foreign', operation })
    for (const operation of nullified) reading.report({ kind: 'operation-nullified', operation })
    found = {
      operations: found.operations + lines,
      own: found.own + own,
      foreign: [...found.foreign, ...foreign],
      nullified: [...found.nullified, ...nullified],
    }
  }
  await compareOnward(deps, onPage, signal)
  return found
}

/**
 * No claim while the audit log is not as it must be: nothing is written on top of it, and no key used.
 * Nor while something else is in force than these policies.
 */
function gated(
  store: RequestStore,
  { gate, trust }: Pick<UseCaseParts, 'gate' | 'trust'>,
): RequestStore {
  return {
    ...store,
    claim: async (input, judge) => {
      const { cause, frozen } = await trust.look()
      const stopped = gate.cause() ?? cause
      if (stopped !== null) throw new SigningStoppedError(`signing is stopped: ${stopped}`)
      const { caller, key } = input.subject
      const [freeze] = freezesOf(frozen, { caller, keys: [key.id] })
      if (freeze !== undefined) throw new FrozenError(frozenText(freeze))
      return await store.claim(input, judge)
    },
  }
}

/** Whoever froze while it waited has stopped it too. */
async function isWitnessed(
  { intent, caller }: { readonly intent: CommittedIntent; readonly caller: string },
  { isCosigned, gate, trust }: UseCaseParts,
): Promise<boolean> {
  const { requestId, key } = intent.authorized
  if (!(await isCosigned({ requestId, lease: intent.lease, keyDid: key.did }))) return false
  const { cause, frozen } = await trust.look()
  const stopped = gate.cause() ?? cause
  return stopped === null && freezesOf(frozen, { caller, keys: [key.id] }).length === 0
}

function submitUnlessFrozen(deps: SubmitDeps, { trust, policies, db }: UseCaseParts): Submit {
  return unlessFrozen(createSubmit(deps), {
    trust,
    policies,
    isSigned: async (input) => (await deps.submissions.find(input))?.recorded != null,
    allow: async (entry) => await recordTrust(db, [entry]),
  })
}
