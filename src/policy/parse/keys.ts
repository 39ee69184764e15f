import { z } from 'zod'
import { parseRotationKey } from '../../plc/did-key.ts'
import type { KeyConfig } from '../policy-set.ts'
import { malformed, name, parseFile, refuseRepeats } from './file.ts'

const file = 'keys.yaml'

const keysFile = z.strictObject({
  keys: z.literal('holdfast/keys/v1'),
  list: z.array(
    z.strictObject({
      id: name,
      class: z.enum(['online', 'recovery']),
      curve: z.enum(['K-256', 'P-256']),
      did: z.string(),
      uri: z.string().max(1024).optional(),
      development: z.boolean().optional(),
      exposed: z.boolean().optional(),
    }),
  ),
})

export function parseKeys(text: string): KeyConfig[] {
  const keys = parseFile(file, text, keysFile).list.map(toKey)
  refuseRepeats(
    file,
    'id',
    keys.map((key) => key.id),
  )
  refuseRepeats(
    file,
    'did',
    keys.map((key) => key.did),
  )
  return keys
}

function toKey(entry: z.infer<typeof keysFile>['list'][number]): KeyConfig {
  const where = `${file}: key ${entry.id}`
  checkPinnedKey(where, entry.did, entry.curve)
  if (entry.class === 'online' && entry.uri === undefined) {
    throw malformed(`${where}: an online key needs a uri`)
  }
  if (entry.class === 'recovery' && entry.uri !== undefined) {
    throw malformed(`${where}: a recovery key has no uri here; its private half stays offline`)
  }
  const { exposed = false, development = false, uri = null, ...key } = entry
  if (entry.class === 'recovery' && exposed) {
    throw malformed(`${where}: exposed is for online keys; replace a recovery key that was seen`)
  }
  return { ...key, uri, development, ...(exposed ? { exposed } : {}) }
}

function checkPinnedKey(where: string, did: string, curve: string): void {
  const actual = curveOfDid(did)
  if (actual === null) throw malformed(`${where}: did is not a did:key of a rotation key`)
  if (actual !== curve) throw malformed(`${where}: did is a ${actual} key, but curve says ${curve}`)
}

function curveOfDid(did: string): string | null {
  try {
    return parseRotationKey(did).curve
  } catch {
    return null
  }
}
