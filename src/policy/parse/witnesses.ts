import { z } from 'zod'
import { isLoopbackName } from '../loopback.ts'
import type { WitnessConfig } from '../policy-set.ts'
import { malformed, oneOrMore } from './file.ts'

const vkey = z
  .string()
  .max(512)
  .regex(
    /^[^\s+]{1,256}\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2}$/,
    'write the verifier key that the witness shows: NAME+ID+KEY',
  )

export const witnessesSchema = z.strictObject({
  quorum: z.int().min(1, 'at least 1'),
  of: oneOrMore(z.strictObject({ url: z.string().max(2048), key: vkey })),
})

/** @throws PolicyError `file-malformed` for a quorum that nobody could meet, or one key twice */
export function parseWitnesses(written: z.infer<typeof witnessesSchema> | undefined): {
  witnesses?: WitnessConfig
} {
  if (written === undefined) return {}
  const { quorum, of } = written
  if (quorum > of.length) {
    throw malformed(`policy.yaml: witnesses: quorum is ${quorum}, of ${of.length} witnesses`)
  }
  const keys = of.map(({ key }) => key.slice(key.indexOf('+', key.indexOf('+') + 1) + 1))
  if (new Set(keys).size < keys.length) {
    throw malformed('policy.yaml: witnesses: two of them have the same key')
  }
  for (const { url } of of) checkUrl(url)
  return { witnesses: written }
}

function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null
  const loopback = isLoopbackName(url?.hostname ?? '')
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && loopback)) {
    throw malformed('policy.yaml: witnesses: url must be https, or http on a loopback address')
  }
  if (url.username !== '' || url.password !== '' || url.hash !== '' || url.search !== '') {
    throw malformed('policy.yaml: witnesses: url is a place alone: no user, query or fragment')
  }
}
