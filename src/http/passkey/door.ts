import { Hono } from 'hono'
import type { z } from 'zod'
import { linkAnswer, linkOpening } from '../../api/passkey.ts'
import type { PasskeyLinks } from '../../api/passkey.ts'
import { ApprovalError } from '../../approval/error.ts'
import { digestWords } from '../../words/words.ts'
import type { HttpEnv } from '../env.ts'
import type { Gate } from '../gate.ts'
import { ProblemError } from '../problem.ts'
import { receive } from '../received.ts'
import { parseJson } from '../v1/body.ts'
import { passkeyPage, passkeyPagePolicy } from './page.ts'

const WORDS = 8

/**
 * The page of a one-time link, and its two calls. Who calls proves by the token alone that they are who was
 * invited; a token has 256 bits, so nobody tries them.
 */
export function createPasskeyDoor(deps: {
  readonly passkeys: PasskeyLinks
  readonly gate: Gate
}): Hono<HttpEnv> {
  const { passkeys, gate } = deps
  const door = new Hono<HttpEnv>()
  door.get('/', (c) =>
    c.body(passkeyPage, 200, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': passkeyPagePolicy,
    }),
  )
  door.post('/open', async (c) => {
    const body = linkOpening.safeParse(parseJson(await receive(c.env.incoming)))
    if (!body.success) throw malformed()
    const opened = await gate(async () => await passkeys.open(body.data.token))
    if (opened === null) throw gone()
    const { does, person, publicKey, roster } = opened
    const shown = roster === null ? {} : { lines: roster.lines, words: wordsOf(roster.digest) }
    return c.json({ does, person, publicKey, ...shown })
  })
  door.post('/answer', async (c) => {
    const body = linkAnswer.safeParse(parseJson(await receive(c.env.incoming)))
    if (!body.success) throw malformed()
    const answered = await gate(async () => await answer(body.data, passkeys))
    if (answered === null) throw gone()
    const { does, person, digest } = answered
    return c.json({ does, person, words: digest === null ? null : wordsOf(digest) })
  })
  return door
}

async function answer({ token: of, made }: z.infer<typeof linkAnswer>, passkeys: PasskeyLinks) {
  try {
    return await passkeys.answer(of, made)
  } catch (error) {
    if (error instanceof ApprovalError) throw new ProblemError('malformed', error.message)
    throw error
  }
}

const wordsOf = (digest: Uint8Array) => digestWords(digest, WORDS).join(' ')

function malformed(): ProblemError {
  return new ProblemError('malformed', 'the body is not what the page of the link sends')
}

function gone(): ProblemError {
  return new ProblemError(
    'not-found',
    'this link was used, or its 15 minutes are over: ask the operator for another one',
  )
}
