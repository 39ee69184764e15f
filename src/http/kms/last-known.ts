import type { Credential, FindCredential } from '../credential.ts'
import type { HttpLog } from '../env.ts'

export type LastKnown = {
  /** Like the look-up itself, and a revoked access key is forgotten. */
  readonly find: FindCredential
  /** The same, but while the look-up throws, it answers with what was true last. */
  readonly findOrLastKnown: FindCredential
  /** Only for credentials whose signature was verified: nobody else may push one out. */
  readonly remember: (credential: Credential) => void
}

export type LastKnownOptions = {
  readonly find: FindCredential
  readonly initial: readonly Credential[]
  readonly limit: number
  readonly log: HttpLog
}

/**
 * A PDS that gets no public key at its start does not start, so an outage of our database must not become an outage of
 * every PDS. Hence GetPublicKey and DescribeKey, and nothing else, may be asked with a credential that was good when we
 * last could look. The worst of it: during the outage, somebody whose access key was just revoked reads a public key
 * which any PLC log shows anyway. It is never used for `Sign`: there a revocation must count at once.
 */
export function createLastKnown({ find, initial, limit, log }: LastKnownOptions): LastKnown {
  const known = new Map<string, Credential>()

  const remember = (credential: Credential): void => {
    // Deleted and set again, it is the newest; the first of a Map is the oldest.
    known.delete(credential.accessKeyId)
    known.set(credential.accessKeyId, credential)
    if (known.size > limit) known.delete(known.keys().next().value!)
  }

  const findNow: FindCredential = async (accessKeyId) => {
    const credential = await find(accessKeyId)
    if (credential === null) known.delete(accessKeyId)
    return credential
  }

  const findOrLastKnown: FindCredential = async (accessKeyId) => {
    try {
      return await findNow(accessKeyId)
    } catch (error) {
      const credential = known.get(accessKeyId)
      if (credential === undefined) throw error
      log.warn({ err: error, caller: credential.caller }, 'credential look-up failed, last known')
      return credential
    }
  }

  initial.forEach(remember)
  return { find: findNow, findOrLastKnown, remember }
}
