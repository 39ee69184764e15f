import { randomBytes } from 'node:crypto'
import { publicOrigin } from '../../../src/config.ts'
import type { Config } from '../../../src/config.ts'
import { homesOf } from '../../../src/policy/policy-set.ts'
import type { KeyConfig, PolicySet } from '../../../src/policy/policy-set.ts'
import type { Purpose } from '../../../src/bundle/plan.ts'
import { possessionChallenge } from '../../../src/ceremony/document.ts'
import type { Environment } from '../../../src/ceremony/env.ts'
import type { Intent } from '../../../src/recovery/intent.ts'
import { UsageError } from '../command.ts'
import { kindOf } from '../keys/place.ts'
import type { Ground } from '../keys/open.ts'

export type Wanted = {
  readonly env: Environment
  /** An id of `keys.yaml`, or a did:key. */
  readonly lost: string
  readonly replacement: string
  readonly recovery: string | undefined
  readonly planner: string | undefined
}

/** What a plan is for, from `keys.yaml` and what was asked. @throws UsageError naming what is missing */
export function purposeOf(
  { policies, config }: { readonly policies: PolicySet; readonly config: Config },
  wanted: Wanted,
  now: Date,
): { readonly purpose: Purpose; readonly replacement: KeyConfig } {
  const { keys, roster, digest } = policies
  const replacement = keys.find(({ id }) => id === wanted.replacement)
  if (replacement?.class !== 'online' || replacement.retired === true) {
    throw new UsageError(`--replacement: keys.yaml names no online key ${wanted.replacement}`)
  }
  const planner = wanted.planner ?? null
  if (planner !== null && roster?.persons.some(({ id }) => id === planner) !== true) {
    throw new UsageError(`--planner: the roster names no ${planner}`)
  }
  const purpose: Purpose = {
    env: wanted.env,
    ceremony: randomBytes(16).toString('hex'),
    made: now.toISOString(),
    planner,
    audience: publicOrigin(config),
    transformation: 'replace-server-key',
    lost: didOf(keys, wanted.lost, '--lost'),
    recovery: recoveryOf(keys, wanted.recovery),
    did: replacement.did,
    policies: Buffer.from(digest).toString('hex'),
    roster: roster === null ? null : Buffer.from(roster.digest).toString('hex'),
  }
  if (new Set([purpose.lost, purpose.recovery, purpose.did]).size < 3) {
    throw new UsageError('the lost key, its replacement and the recovery key must be three keys')
  }
  return { purpose, replacement }
}

/** The intent with the proof of the key that takes over, from the first of its homes. */
export async function signIntent(ground: Ground, key: KeyConfig, intent: Intent): Promise<Intent> {
  const [uri] = homesOf(key)
  const kind = uri === undefined ? null : kindOf(uri)
  if (uri === undefined || kind === null) {
    throw new UsageError(`--replacement: key ${key.id} has no home that this command knows`)
  }
  const proof = await kind.prove(ground, key, uri, possessionChallenge(intent))
  return { ...intent, proof: Buffer.from(proof).toString('base64url') }
}

function recoveryOf(keys: readonly KeyConfig[], wanted: string | undefined): string {
  if (wanted !== undefined) return didOf(keys, wanted, '--recovery')
  const [only, another] = keys.filter((key) => key.class === 'recovery' && key.retired !== true)
  if (only !== undefined && another === undefined) return only.did
  throw new UsageError('keys.yaml does not name one recovery key; say which with --recovery')
}

function didOf(keys: readonly KeyConfig[], name: string, option: string): string {
  if (name.startsWith('did:key:')) return name
  const key = keys.find(({ id }) => id === name)
  if (key !== undefined) return key.did
  throw new UsageError(`${option}: keys.yaml names no key ${name}; write its id or a did:key`)
}
