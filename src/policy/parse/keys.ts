import { z } from 'zod'
import { parseRotationKey } from '../../plc/did-key.ts'
import type { KeyConfig } from '../policy-set.ts'
import { malformed, name, parseFile, refuseRepeats } from './file.ts'

const file = 'keys.yaml'

const uri = z.string().min(1).max(1024)

const keysFile = z.strictObject({
  keys: z.literal('holdfast/keys/v1'),
  list: z.array(
    z.strictObject({
      id: name,
      class: z.enum(['online', 'recovery']),
      curve: z.enum(['K-256', 'P-256']),
      did: z.string(),
      uri: uri.optional(),
      homes: z.array(uri).min(2, 'name two places or more; one is a uri').max(4).optional(),
      development: z.boolean().optional(),
      exposed: z.boolean().optional(),
      retired: z.boolean().optional(),
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

type KeyEntry = z.infer<typeof keysFile>['list'][number]

function toKey(entry: KeyEntry): KeyConfig {
  const where = `${file}: key ${entry.id}`
  checkPinnedKey(where, entry.did, entry.curve)
  checkClass(where, entry)
  const { exposed = false, retired = false, development = false, homes, ...key } = entry
  if (key.uri !== undefined && homes !== undefined) {
    throw malformed(`${where}: has a uri and homes; homes alone names all places`)
  }
  refuseRepeats(file, `home of key ${entry.id}`, homes ?? [])
  return {
    ...key,
    uri: homes?.[0] ?? key.uri ?? null,
    development,
    ...(homes === undefined ? {} : { homes }),
    ...(exposed ? { exposed } : {}),
    ...(retired ? { retired } : {}),
  }
}

function checkClass(where: string, entry: KeyEntry): void {
  const hasPlace = entry.uri !== undefined || entry.homes !== undefined
  switch (entry.class) {
    case 'online':
      if (!hasPlace) throw malformed(`${where}: an online key needs a uri, or homes`)
      return
    case 'recovery':
      if (hasPlace) {
        throw malformed(`${where}: a recovery key has no uri here; its private half stays offline`)
      }
      if (entry.exposed === true) {
        throw malformed(
          `${where}: exposed is for online keys; replace a recovery key that was seen`,
        )
      }
      if (entry.retired === true) {
        throw malformed(`${where}: retired is for online keys; a recovery key signs nothing here`)
      }
  }
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
