import { parseTrustCard } from '../../../src/audit/trust-card.ts'
import { openBundle, verifyApprovals } from '../../../src/bundle/open.ts'
import type { Bundle } from '../../../src/bundle/open.ts'
import { opensslVerifier } from '../../../src/ecdsa/native.ts'
import { approveIntent, trustIntent } from '../../../src/recovery/trusted.ts'
import type { ApprovedIntent, TrustedIntent } from '../../../src/recovery/trusted.ts'
import { readText } from '../command.ts'

/** A bundle that is what the trust card names. */
export type TrustedBundle = { readonly bundle: Bundle; readonly trusted: TrustedIntent }

/** @throws RecoveryError, AuditError, DocumentError, PolicyError, each naming the file */
export async function openTrusted(path: string, card: string): Promise<TrustedBundle> {
  const trust = parseTrustCard(await readText(card))
  const bundle = await openBundle(path)
  return { bundle, trusted: trustIntent(bundle.intent, trust, bundle) }
}

/** @throws RecoveryError `not-approved` */
export async function openApproved({ bundle, trusted }: TrustedBundle): Promise<ApprovedIntent> {
  const approvals = await verifyApprovals(bundle, trusted, opensslVerifier())
  return approveIntent(trusted, { approvals, now: new Date() })
}
