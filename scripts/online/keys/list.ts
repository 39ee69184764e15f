import { parseArgs } from 'node:util'
import { latchDir } from '../../../src/data-dir.ts'
import { openPolicies } from '../../../src/development.ts'
import { homesOf } from '../../../src/policy/policy-set.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { describeLatch, listLatches } from '../../../src/signer/pkcs11/pin-latch.ts'
import { UsageError, print, printJson } from '../command.ts'
import { openGround } from './open.ts'
import type { Ground } from './open.ts'
import { kindOf, placeOf, placeOptions, placeUsage } from './place.ts'

const usage = `keys list [${placeUsage}] [--json]`

/** The keys of `keys.yaml` and how their homes are now; or all keys of a place, to adopt one of them. */
export async function listKeys(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { ...placeOptions, json: { type: 'boolean', default: false } },
  })
  if (positionals.length > 0) throw new UsageError(usage)
  const { kind, uri } = placeOf(values, usage)
  const ground = await openGround()
  if (kind.option === null) return await listPinned(ground, values.json)
  const found = await kind.list(ground, uri)
  if (values.json) printJson(found)
  else
    for (const key of found) print(`${key.name}  ${key.did ?? 'no public key'}  ${key.uri ?? ''}`)
  return 0
}

async function listPinned(ground: Ground, json: boolean): Promise<number> {
  const { policies } = await openPolicies(ground.config, ground.sealer)
  const keys = []
  for (const key of policies.keys) keys.push({ ...key, health: await healthOf(ground, key) })
  const latches = await listLatches(latchDir(ground.config))
  if (json) printJson(keys)
  else {
    for (const key of keys) {
      print(`${key.id}  ${key.class}  ${key.curve}  ${key.did}${marksOf(key)}`)
      for (const { uri, state } of key.health) print(`  ${uri}  ${state}`)
    }
  }
  for (const latch of latches) {
    process.stderr.write(
      `token ${latch.serial} is latched: ${describeLatch(latch)}; look, then run: keys unlatch ${latch.serial}\n`,
    )
  }
  return 0
}

async function healthOf(ground: Ground, key: KeyConfig) {
  const homes = []
  for (const uri of key.retired === true ? [] : homesOf(key)) {
    const state = (await kindOf(uri)?.look(ground, key, uri)) ?? 'not looked at'
    homes.push({ uri, state })
  }
  return homes
}

function marksOf({ development, exposed, retired }: KeyConfig): string {
  const marks = { development, exposed, retired }
  return Object.entries(marks)
    .flatMap(([name, isSet]) => (isSet === true ? [` (${name})`] : []))
    .join('')
}
