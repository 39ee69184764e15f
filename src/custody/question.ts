import type { Requester } from '../approval/matter.ts'
import type { VerifiedApproval } from '../approval/verify.ts'
import type { SigningBytes } from '../plc/encode.ts'
import type { Subject } from '../policy/facts.ts'
import type { PolicySet } from '../policy/policy-set.ts'
import type { Observation } from './ports.ts'

/** What was verified so far, by all its bytes; null: it is no evidence of anything. */
export type Verified = ReadonlyMap<string, VerifiedApproval | null>

/** What is asked, before anything is known of what came before it. */
export type Question = {
  readonly subject: Subject
  readonly bytes: SigningBytes
  readonly digest: Uint8Array
  readonly policies: PolicySet
  /** null: the directory has not been read in this call. */
  readonly observed: Observation | null
  /** To use the key now, or to keep the request until somebody asks for that. */
  readonly purpose: 'sign' | 'propose'
  /** For a new request; a taken-over one keeps its own. */
  readonly requestId: string
  /** Who asks: the caller, or an officer in its place. */
  readonly requester: Requester
  /** The service that officers are asked by. */
  readonly audience: string
  /** What officers said, as far as it was verified in this call. */
  readonly verified: Verified
}
