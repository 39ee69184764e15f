import type { Credential, FindCredential } from '../credential.ts'

export type LastKnown = {
  /** Like the look-up itself, but a revoked access key is forgotten. */
  readonly find: FindCredential
  /** What was true last; null for one that never was. Asks nobody. */
  readonly recall: FindCredential
  /** Only for credentials whose signature was verified: nobody else may push one out. */
  readonly remember: (credential: Credential) => void
}

/**
 * A PDS that gets no public key at its start does not start, so an outage of our database must not become an outage of
 * every PDS. Hence GetPublicKey and DescribeKey, and nothing else, may be asked with a credential that was good when we
 * last could look. The worst of it: during the outage, somebody whose access key was just revoked reads a public key
 * which any PLC log shows anyway. It is never used for `Sign`: there a revocation must count at once.
 */
export function createLastKnown(
  find: FindCredential,
  initial: readonly Credential[],
  limit: number,
): LastKnown {
  const known = new Map<string, Credential>()
  const remember = (credential: Credential): void => {
    // Deleted and set again, it is the newest; the first of a Map is the oldest.
    known.delete(credential.accessKeyId)
    known.set(credential.accessKeyId, credential)
    if (known.size > limit) known.delete(known.keys().next().value!)
  }
  initial.forEach(remember)
  return {
    find: async (accessKeyId) => {
      const credential = await find(accessKeyId)
      if (credential === null) known.delete(accessKeyId)
      return credential
    },
    recall: async (accessKeyId) => known.get(accessKeyId) ?? null,
    remember,
  }
}
