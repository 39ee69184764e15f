import type { EcdsaVerify } from '../../plc/signature.ts'
import { quoteText } from '../../plc/text.ts'
import type { Fact } from './fact.ts'
import { forkProblems } from './forked.ts'
import type { Forked } from './forked.ts'
import type { createFreezes } from './freezes.ts'
import type { InForce } from './in-force.ts'

type Say = (message: string) => void

/** That the database lacked entries, and which tree had them: `root` is that of the first `size` entries. */
export type Restored = { readonly index: number; readonly size: number; readonly root: Uint8Array }

/** Entries about the service itself, its callers and ceremonies: what no single request is about. */
export function createDeeds(parts: {
  readonly inForce: InForce
  readonly freezes: ReturnType<typeof createFreezes>
  readonly verify: EcdsaVerify
}) {
  const { inForce, freezes, verify } = parts
  const ceremonies = new Set<string>()
  const credentials = new Map<string, 'added' | 'revoked'>()
  const restored: Restored[] = []
  let store: string | null = null

  async function takeFork(entry: Forked, fact: Deed, say: Say, unjudged: Say): Promise<void> {
    if (entry.had !== fact.index || entry.had >= entry.size) say('it names another loss')
    const lost = `entries ${entry.had} to ${entry.size - 1} of ${quoteText(entry.from)}`
    unjudged(`${lost} were given up for lost`)
    const policies = inForce.set()
    if (policies === null) return unjudged('by what it was decided is not in the log')
    const given = { policies, roster: inForce.roster(), at: fact.at, verify }
    const found = await forkProblems(entry, given)
    found.problems.forEach(say)
    if (found.unjudged !== null) unjudged(found.unjudged)
  }

  /** @returns false for what is none of these */
  async function take(fact: Deed, say: Say, unjudged: Say): Promise<boolean> {
    const entry = fact.of
    switch (entry.kind) {
      case 'trust.initialised':
        if (fact.index !== 0) say('a log begins once')
        ;({ store } = entry)
        return true
      case 'trust.changed':
        await inForce.takeTrust(entry, fact.at, say)
        return true
      case 'policy.changed':
        inForce.takePolicies(entry, say)
        return true
      case 'roster.changed':
        await inForce.takeRoster(entry, say)
        return true
      case 'roster.accepted':
        inForce.takeAccepted(entry, fact.at)
        return true
      case 'signing.frozen':
        freezes.takeFrozen(entry, say)
        return true
      case 'signing.thawed':
        await freezes.takeThawed(entry, { at: fact.at, store }, say)
        return true
      case 'caller.added':
        if (credentials.has(entry.accessKeyId)) say('its access key was added before')
        credentials.set(entry.accessKeyId, 'added')
        return true
      case 'caller.revoked':
        if (credentials.get(entry.accessKeyId) !== 'added') say('its access key is not in force')
        credentials.set(entry.accessKeyId, 'revoked')
        return true
      case 'database.restored':
        if (entry.had > entry.size || entry.size > fact.index)
          say('more was put back than there was')
        else restored.push({ index: fact.index, size: entry.size, root: entry.root })
        return true
      case 'log.forked':
        await takeFork(entry, fact, say, unjudged)
        return true
      case 'ceremony.imported':
        if (ceremonies.has(entry.ceremony)) say(`ceremony ${entry.ceremony} was imported before`)
        ceremonies.add(entry.ceremony)
        return true
      case 'ceremony.reported':
        if (!ceremonies.has(entry.ceremony)) say(`ceremony ${entry.ceremony} was never imported`)
        return true
      // What the service saw or did elsewhere: there is nothing in the log to hold it against.
      case 'operation.foreign':
      case 'denials.counted':
      case 'reconciliation.reported':
      case 'key.created':
      case 'key.imported':
      case 'key.checked':
      case 'key.retired':
      case 'key.taken-over':
      case 'key.latched':
      case 'key.unlatched':
        return true
      default:
        return false
    }
  }

  return { take, restored: restored as readonly Restored[] }
}

export type Deed = Fact & { readonly is: 'plain' }
