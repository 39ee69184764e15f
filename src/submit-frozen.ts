import type { AuditEntry } from './audit/entry.ts'
import type { Submit } from './custody/submit.ts'
import type { PolicySet } from './policy/policy-set.ts'
import { freezesOf } from './trust/freeze.ts'
import type { Freeze } from './trust/freeze.ts'
import type { TrustGate } from './trust-gate.ts'

type Allowed = Extract<AuditEntry, { kind: 'submission.allowed' }>

/** What stops a caller, for who asks. */
export function frozenText({ scope, since }: Freeze): string {
  return `signing is frozen (${scope}, since ${since}); ask the officers`
}

/**
 * What was signed before a freeze is not sent on while it lasts, but by the word of an officer: another one than
 * whoever froze. Their word is in the record before anything is sent.
 */
export function unlessFrozen(
  submit: Submit,
  deps: {
    readonly trust: TrustGate
    readonly policies: Pick<PolicySet, 'callers'>
    /** Whether there is a signature to send on; there comes none while it is frozen. */
    readonly isSigned: (input: { caller: string; requestId: string }) => Promise<boolean>
    readonly allow: (entry: Allowed) => Promise<void>
  },
): Submit {
  const { trust, policies, isSigned, allow } = deps
  return async (input) => {
    const { cause, frozen } = await trust.look()
    if (cause !== null) return { kind: 'busy', message: `signing is stopped: ${cause}` }
    const { caller, officer = null } = input
    const keys = policies.callers.find(({ name }) => name === caller)?.keys ?? []
    const freezes = freezesOf(frozen, { caller, keys })
    const [freeze] = freezes
    if (freeze === undefined) return await submit(input)
    // Nothing is allowed of what is not signed: the log would tell of sending on what is not there.
    if (officer === null || !(await isSigned(input))) {
      return { kind: 'frozen', message: frozenText(freeze) }
    }
    const own = freezes.find(({ by }) => by === `person:${officer}`)
    if (own !== undefined) {
      const message = `${officer} has frozen this (${own.scope}); another officer may send it on`
      return { kind: 'frozen', message }
    }
    const named = freezes.map(({ scope }) => scope)
    await allow({
      kind: 'submission.allowed',
      request: input.requestId,
      person: officer,
      frozen: named,
    })
    return await submit(input)
  }
}
