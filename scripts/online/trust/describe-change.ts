import type { Change } from '../../../src/approval/change.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { wordsOf } from './words.ts'

/** For whoever decides: what changes first, and between which digests. */
export function describeChange({ request, from, to, says }: Change): string[] {
  const { env, audience, proposer, made, sequence } = request
  return [
    `change ${sequence} of what is in force at ${escapeText(audience)} (env: ${env})`,
    `asked by ${proposer ?? 'nobody'} at ${made}`,
    ...says.map((line) => `  ${escapeText(line)}`),
    ...(says.length === 0 ? ['  the two sets decide alike'] : []),
    'from',
    ...digestLines(from),
    'to',
    ...digestLines(to),
  ]
}

function digestLines({ digest, roster }: Change['from']): string[] {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  return [
    `  policy set ${hex(digest)}`,
    `    ${wordsOf(digest)}`,
    ...(roster === null
      ? ['  no officers']
      : [`  roster epoch ${roster.epoch} ${hex(roster.digest)}`, `    ${wordsOf(roster.digest)}`]),
  ]
}
