import { parseArgs } from 'node:util'
import { formatVkey } from '../../src/audit/note.ts'
import type { Context } from '../../src/context.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import {
  checkpointSigner,
  makeCheckpointKey,
  openCheckpointKey,
} from '../../src/sequencer/checkpoint-key.ts'
import type { Held } from '../../src/sequencer/held.ts'
import { decodeTrust } from '../../src/trust/record.ts'
import { Refusal } from '../offline/refusal.ts'
import { openTerminal } from '../offline/terminal.ts'
import { UsageError, print, printJson, withContext } from './command.ts'
import type { Command } from './command.ts'
import { readFirstOfficers } from './trust/accepted.ts'
import { putInForce } from './trust/put-in-force.ts'
import { askWords, wordsOf } from './trust/words.ts'

const usage = 'trust init [--accepted FILE]… [--json] | trust show [--json]'

export const trust: Command = async ([verb, ...args]) => {
  const { values } = parseArgs({
    args,
    options: { json: { type: 'boolean' }, accepted: { type: 'string', multiple: true } },
  })
  const { json = false, accepted } = values
  if (verb === 'init') return await init(json, accepted ?? [])
  if (verb === 'show' && accepted === undefined) return await show(json)
  throw new UsageError(usage)
}

/**
 * Makes the checkpoint key and the held record of a log that begins, with what is in force from the
 * start; never of one that is there.
 */
async function init(json: boolean, files: readonly string[]): Promise<number> {
  return await withContext(async (context) => {
    const { config, auditLog, policies } = context
    await requireBeginning(context)
    const accepted = await readFirstOfficers(files, policies)
    await confirm(policies)
    await makeCheckpointKey(config.checkpointKeyFile)
    const key = await openCheckpointKey(config.checkpointKeyFile)
    if (key === null) throw new Error(`${config.checkpointKeyFile} went away`)
    const before = (await auditLog.held.read())?.trust ?? null
    const by = byOf(policies)
    const held = await putInForce(context, { policies, by, agreed: null, accepted, before })
    const vkey = formatVkey(checkpointSigner(key, held.origin).key)
    if (json) printJson({ store: held.storeId, origin: held.origin, vkey, ...digests(policies) })
    else {
      print(`In force: policy set ${hex(policies.digest)}`)
      print(`The log is ${held.origin}. Its checkpoints are signed by`)
      print(vkey)
      print('Give that line to your auditors, and restart the service.')
    }
    return 0
  })
}

const byOf = ({ roster }: PolicySet) => (roster === null ? 'operator' : 'officers')

async function requireBeginning({ auditLog }: Context): Promise<void> {
  const held = await auditLog.held.read()
  // One that was made before there were trust records gets one now.
  if (held !== null && held.trust === null) return
  if (held !== null) throw new Refusal('there is a held record already; it is left as it is')
  if (await auditLog.store.isEmpty()) return
  throw new Refusal(
    'the log in the database is not empty: its held record is lost, or this is a restored backup; see docs/operations.md',
  )
}

async function confirm({ digest, roster }: PolicySet): Promise<void> {
  const terminal = openTerminal()
  try {
    await askWords(terminal, { what: 'the policy set', digest })
    if (roster !== null) await askWords(terminal, { what: 'the roster', digest: roster.digest })
  } finally {
    terminal.close()
  }
}

/** What is in force, what is frozen, and what waits as a candidate. */
async function show(json: boolean): Promise<number> {
  return await withContext(async ({ auditLog, policies, candidate }) => {
    const held = await auditLog.held.read()
    const record = held?.trust == null ? null : decodeTrust(held.trust)
    // Without a record nothing is in force, and the files are what `trust init` would take.
    const waits = record === null ? policies : candidate
    const report = {
      env: record?.env ?? null,
      sequence: record?.sequence ?? null,
      inForce: record === null ? null : named(record.policies, record.roster),
      frozen: frozenOf(held),
      candidate: waits === null ? null : digests(waits),
    }
    if (json) printJson(report)
    else printShow(report)
    return 0
  })
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const frozenOf = (held: Held | null) => held?.frozen ?? []

function named(
  policies: Uint8Array,
  roster: { readonly epoch: number; readonly digest: Uint8Array } | null,
) {
  return {
    policySet: hex(policies),
    words: wordsOf(policies),
    roster:
      roster === null
        ? null
        : { epoch: roster.epoch, digest: hex(roster.digest), words: wordsOf(roster.digest) },
  }
}

const digests = ({ digest, roster }: PolicySet) => named(digest, roster)

type Named = ReturnType<typeof named>
type Report = {
  readonly env: string | null
  readonly sequence: number | null
  readonly inForce: Named | null
  readonly frozen: readonly string[]
  readonly candidate: Named | null
}

function printShow({ env, sequence, inForce, frozen, candidate }: Report): void {
  if (inForce === null) print('nothing is in force: there is no trust record (trust init)')
  else {
    print(`in force (env: ${env ?? ''}, change ${sequence ?? 0})`)
    printNamed(inForce)
  }
  print(frozen.length === 0 ? 'nothing is frozen' : `FROZEN: ${frozen.join(', ')}`)
  if (candidate === null) return
  print('candidate: what the files say, and what is not in force')
  printNamed(candidate)
}

function printNamed({ policySet, words, roster }: Named): void {
  print(`  policy set ${policySet}`)
  print(`    ${words}`)
  print(roster === null ? '  no officers' : `  roster epoch ${roster.epoch} ${roster.digest}`)
  if (roster !== null) print(`    ${roster.words}`)
}
