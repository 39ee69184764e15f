import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Context } from '../../src/context.ts'
import { withItem } from '../../src/development.ts'
import { replaceFile } from '../../src/files/write-once.ts'
import { addCredential, listCredentials, revokeCredential } from '../../src/store/callers.ts'
import { UsageError, print, printJson, withContext } from './command.ts'
import type { Command } from './command.ts'
import { parsePdsOption } from './pds-option.ts'

const usage =
  'callers list | callers add NAME [--key ID] [--pds URL] | callers revoke ACCESS-KEY-ID [--json]'

export const callers: Command = async ([verb, ...args]) => {
  switch (verb) {
    case 'list':
      return await list(args)
    case 'add':
      return await add(args)
    case 'revoke':
      return await revoke(args)
    default:
      throw new UsageError(usage)
  }
}

async function list(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { json: { type: 'boolean' } } })
  return await withContext(async ({ db, policies }) => {
    const credentials = await listCredentials(db)
    const named = policies.callers.map((caller) => ({
      ...caller,
      credentials: credentials.filter((credential) => credential.caller === caller.name),
    }))
    const orphans = credentials.filter(
      ({ caller }) => !policies.callers.some(({ name }) => name === caller),
    )
    if (values.json === true) printJson({ callers: named, orphans })
    else {
      for (const caller of named) {
        const pds = caller.pds === undefined ? '' : `  pds: ${caller.pds}`
        print(`${caller.name}  keys: ${caller.keys.join(', ')}${pds}`)
        for (const credential of caller.credentials) print(`  ${describe(credential)}`)
      }
      for (const credential of orphans)
        print(`not in callers.yaml: ${credential.caller}  ${describe(credential)}`)
    }
    return 0
  })
}

function describe(credential: { accessKeyId: string; createdAt: Date; revoked: boolean }): string {
  return `${credential.accessKeyId}  since ${credential.createdAt.toISOString()}${credential.revoked ? '  revoked' : ''}`
}

async function add(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { key: { type: 'string' }, pds: { type: 'string' }, json: { type: 'boolean' } },
  })
  const [name, extra] = positionals
  if (name === undefined || extra !== undefined) throw new UsageError(usage)
  return await withContext(async (context) => {
    const pds = values.pds === undefined ? null : parsePdsOption(values.pds, usage)
    const added = await grant(context, { name, key: values.key ?? null, pds })
    const made = await addCredential(context.db, context.sealer, name)
    if (values.json === true) printJson(made)
    else {
      print(`AWS_ACCESS_KEY_ID=${made.accessKeyId}`)
      print(`AWS_SECRET_ACCESS_KEY=${made.secretAccessKey}`)
      print(`TOKEN=${made.accessKeyId}.${made.token}`)
      print('These are not shown again.')
    }
    if (added)
      process.stderr.write(
        `${name} was added to callers.yaml; a running service reads it at its next start\n`,
      )
    return 0
  })
}

/**
 * What a caller may do comes from callers.yaml alone. In `env: dev` the name is added there; a
 * production file is reviewed, and no command writes it.
 */
async function grant(
  { policies, policiesDir }: Context,
  { name, key, pds }: { name: string; key: string | null; pds: string | null },
): Promise<boolean> {
  const caller = policies.callers.find((candidate) => candidate.name === name)
  if (caller !== undefined) {
    const wrong = [
      ...(key === null || caller.keys.includes(key)
        ? []
        : [`does not grant key ${key} to ${name}`]),
      ...(pds === null || caller.pds === pds ? [] : [`does not give ${name} the address ${pds}`]),
    ]
    if (wrong.length === 0) return false
    throw new UsageError(`${usage}\ncallers.yaml ${wrong.join(' and ')}; change it there`)
  }
  if (policies.env === 'prod') {
    throw new UsageError(`${usage}\nno caller ${name} in callers.yaml; add it there first`)
  }
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
    throw new UsageError(`${usage}\nNAME: use a-z, 0-9 and -`)
  if (
    key === null ||
    !policies.keys.some(({ id, class: keyClass }) => id === key && keyClass === 'online')
  ) {
    throw new UsageError(`${usage}\n${name} is new: say which online key it may use with --key ID`)
  }
  const other = policies.callers.find((candidate) => pds !== null && candidate.pds === pds)
  if (other !== undefined) throw new UsageError(`${usage}\n${pds} is the address of ${other.name}`)
  const item = { name, keys: [key], ...(pds === null ? {} : { pds }) }
  const path = join(policiesDir, 'callers.yaml')
  await replaceFile(path, withItem(await readFile(path, 'utf8'), item))
  return true
}

async function revoke(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean' } },
  })
  const [accessKeyId, extra] = positionals
  if (accessKeyId === undefined || extra !== undefined) throw new UsageError(usage)
  return await withContext(async ({ db }) => {
    const outcome = await revokeCredential(db, accessKeyId)
    if (values.json === true) printJson({ accessKeyId, outcome })
    else print(`${accessKeyId}: ${outcome}`)
    return outcome === 'unknown' ? 1 : 0
  })
}
