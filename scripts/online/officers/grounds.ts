import type { Matter } from '../../../src/approval/matter.ts'
import { parseRequester } from '../../../src/approval/matter.ts'
import { readVerifiedLog } from '../../../src/custody/read-log.ts'
import { DirectoryError } from '../../../src/directory/directory.ts'
import type { PlcDirectory } from '../../../src/directory/directory.ts'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { requestDigest, signingBytes } from '../../../src/plc/encode.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { PolicySet } from '../../../src/policy/policy-set.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { readBounded, Refusal } from '../../offline/command.ts'
import { operationOf, reviewRequest } from './review.ts'
import type { AskedView, Review } from './review.ts'
import { weighSaid } from './said.ts'
import type { Spoken } from './said.ts'

/** On what an officer speaks. What is doubted can be rejected and not approved. */
export type Grounds = {
  readonly matter: Matter
  readonly roster: Pick<Roster, 'epoch' | 'digest'>
} & (
  | { readonly kind: 'computed'; readonly review: Review; readonly spoken: Spoken }
  /** The service's words, which this machine could not confirm. */
  | { readonly kind: 'doubted'; readonly doubt: string }
)

export type Sources = {
  readonly policies: PolicySet
  readonly directory: PlcDirectory
  readonly audience: string
  readonly now: Date
}

const MAX_LOG_BYTES = 64 * 1024 * 1024

/** @throws Refusal, DirectoryError: nothing here could be confirmed */
export async function computeGrounds(view: AskedView, sources: Sources): Promise<Grounds> {
  const { policies, directory, audience, now } = sources
  if (view.did === null) throw new Refusal('did: there is none; nobody is asked about a genesis')
  const log = await readVerifiedLog(view.did, { directory, verify: openVerifier().verify })
  const review = reviewRequest(view, { policies, log, audience, now })
  const spoken = await weighSaid(view, review, sources)
  return { kind: 'computed', matter: review.matter, roster: review.roster, review, spoken }
}

/**
 * A no is always safe, and must be possible when the directory is away or the service lies: it then says
 * no to exactly what the service shows. The digest alone is computed from the bytes.
 */
export async function groundsToReject(view: AskedView, sources: Sources): Promise<Grounds> {
  try {
    return await computeGrounds(view, sources)
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof DirectoryError)) throw error
    const { epoch, digest } = view.approval.roster
    return {
      kind: 'doubted',
      matter: matterAsShown(view),
      roster: { epoch, digest: fromHex(digest) },
      doubt: error.message.split('\n').map(escapeText).join('\n'),
    }
  }
}

function matterAsShown(view: AskedView): Matter {
  const { approval } = view
  const requester = parseRequester(approval.requester)
  if (requester === null) throw new Refusal('approval.requester: is nobody who can ask')
  const { approveBy, executeBy, delay, within } = approval
  return {
    env: approval.env,
    audience: approval.audience,
    subject: 'op',
    request: requestDigest(signingBytes(operationOf(view))),
    key: approval.keyDid,
    head: approval.head,
    nullifies: approval.nullifies,
    requester,
    policy: { rules: approval.policy.rules, digest: fromHex(approval.policy.digest) },
    terms: { approveBy, executeBy, delay, within },
    display: approval.display,
  }
}

const fromHex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

/** What the officer has of the directory, as the JSON of `GET /:did/log/audit`; it is verified as well. */
export function directoryInFile(file: string): PlcDirectory {
  return {
    getLog: async () => {
      const text = (await readBounded(file, MAX_LOG_BYTES)).toString('utf8')
      try {
        return JSON.parse(text) as unknown
      } catch (cause) {
        throw new Refusal(`${escapeText(file)}: is not JSON`, { cause })
      }
    },
    ping: async () => {},
  }
}
