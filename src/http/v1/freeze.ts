import { freezeBody } from '../../api/freeze.ts'
import type { FreezeView } from '../../api/freeze.ts'
import { ProblemError } from '../problem.ts'
import type { Received } from '../received.ts'
import type { Actor } from './actions.ts'
import { parseJson } from './body.ts'

/** null: there is no such caller or key. */
export type Freeze = (input: { scope: string; by: string }) => Promise<readonly string[] | null>

/** One officer is enough to stop. @throws ProblemError */
export async function freezeSigning(
  { actor, received }: { actor: Actor; received: Received },
  freeze: Freeze,
): Promise<FreezeView> {
  if (actor.kind !== 'officer') {
    throw new ProblemError('forbidden', 'only an officer can freeze, by a signed call')
  }
  const parsed = freezeBody.safeParse(parseJson(received))
  if (!parsed.success) {
    throw new ProblemError('malformed', '"scope" must be "all", "caller NAME" or "key ID"')
  }
  const frozen = await freeze({ ...parsed.data, by: `person:${actor.person}` })
  if (frozen === null)
    throw new ProblemError('not-found', 'there is no such caller or key in force')
  return { frozen: [...frozen] }
}
