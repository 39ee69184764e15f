import { readFile } from 'node:fs/promises'
import { readEnv, toConfig } from '../../src/config.ts'
import { readVerifiedLog } from '../../src/custody/read-log.ts'
import { createPlcDirectory } from '../../src/directory/plc-http.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import { PlcError } from '../../src/plc/error.ts'
import { verifyLog } from '../../src/plc/log.ts'
import type { LogEntry, VerifiedLog } from '../../src/plc/log.ts'
import { parseUnsignedOperation } from '../../src/plc/operation.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { verifyOperationSignature } from '../../src/plc/signature.ts'
import { decisionText, explain } from '../../src/policy/explain.ts'
import type { Explanation } from '../../src/policy/explain.ts'
import type { PreviousOperation } from '../../src/policy/facts.ts'
import type { KeyConfig, PolicySet } from '../../src/policy/policy-set.ts'
import { readPolicySet } from '../../src/policy-files.ts'
import { UsageError, print, printJson } from './command.ts'
import { parseGoatOperation } from './goat.ts'

export type ExplainOptions = {
  readonly dir: string
  readonly file: string
  readonly caller: string
  readonly key: string
  readonly log: string | undefined
  readonly did: string | undefined
  readonly json: boolean
}

const HOUR_MS = 3_600_000

/**
 * Says how a policy set would judge one operation, and why. Uses no key, no database and no credential;
 * the identity's log comes from a file, or from the directory by `--did`, and is verified either way.
 * @returns 0 allowed or put to officers, 1 denied
 */
export async function explainCommand(options: ExplainOptions): Promise<number> {
  const policies = await readPolicySet(options.dir)
  const operation = await operationIn(options.file)
  const log = await readLog(options)
  const explanation = explain({
    subject: {
      caller: options.caller,
      key: keyOf(policies, options.key),
      operation,
      previous: await previousIn(log, operation.prev, { policies, caller: options.caller }),
    },
    policies,
    circumstances: circumstancesOf(log, policies),
  })
  const assumed = assumptions(options.caller, operation, log)
  if (options.json) printJson({ ...explanation, assumed })
  else printExplanation(explanation, assumed)
  return explanation.decision.kind === 'deny' ? 1 : 0
}

async function operationIn(file: string): Promise<UnsignedOperation> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new UsageError(`--from-file: cannot read ${file}`)
  })
  return readAs('--from-file', () => parseUnsignedOperation(parseGoatOperation(text, file)))
}

function readAs<T>(option: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof PlcError) throw new UsageError(`${option}: ${error.message}`)
    throw error
  }
}

function keyOf({ keys }: PolicySet, id: string): KeyConfig {
  const key = keys.find((candidate) => candidate.id === id)
  if (key !== undefined) return key
  throw new UsageError(
    `--key: keys.yaml has no key ${id}; it has ${keys.map((k) => k.id).join(', ')}`,
  )
}

async function readLog({ log, did }: ExplainOptions): Promise<VerifiedLog | null> {
  const { verify } = openVerifier()
  if (did !== undefined) {
    const { plcUrl } = toConfig(readEnv(process.env), process.cwd())
    return await readVerifiedLog(did, { directory: createPlcDirectory(plcUrl), verify })
  }
  if (log === undefined) return null
  const text = await readFile(log, 'utf8').catch(() => {
    throw new UsageError(`--log: cannot read ${log}`)
  })
  let rows: unknown
  try {
    rows = JSON.parse(text)
  } catch {
    throw new UsageError(`--log: ${log} is not JSON`)
  }
  const first = Array.isArray(rows) ? (rows[0] as { did?: unknown } | undefined) : undefined
  try {
    return await verifyLog(String(first?.did), rows, verify)
  } catch (error) {
    if (error instanceof PlcError) throw new UsageError(`--log: ${error.message}`)
    throw error
  }
}

/** What `prev` names, as the service would hold it if the identity were in the caller's care. */
async function previousIn(
  log: VerifiedLog | null,
  prev: string | null,
  { policies, caller }: { policies: PolicySet; caller: string },
): Promise<PreviousOperation | null> {
  const entry = log?.entries.find(({ cid }) => cid === prev)
  if (log === null || entry === undefined) return null
  const { cid, operation, nullified, createdAt: recordedAt } = entry
  const ours = await isOurs(entry, policies)
  return { did: log.did, cid, operation, owner: caller, nullified, recordedAt, ours }
}

async function isOurs({ operation }: LogEntry, { keys }: PolicySet): Promise<boolean> {
  const online = keys.filter((key) => key.class === 'online').map(({ did }) => did)
  try {
    await verifyOperationSignature(operation, online, openVerifier().verify)
    return true
  } catch (error) {
    if (error instanceof PlcError) return false
    throw error
  }
}

function circumstancesOf(log: VerifiedLog | null, { rules }: PolicySet) {
  const now = new Date()
  const since = (hours: number) =>
    (log?.entries ?? []).filter(
      ({ nullified, createdAt }) =>
        !nullified && createdAt.getTime() > now.getTime() - hours * HOUR_MS,
    ).length
  const none = Object.fromEntries(rules.map(({ id }) => [id, 0]))
  return {
    now,
    observedHead: log?.head.cid ?? null,
    operationCounts: { hour: since(1), day: since(24), week: since(168) },
    ruleCounts: none,
    didRuleCounts: none,
  }
}

function assumptions(
  caller: string,
  { prev }: UnsignedOperation,
  log: VerifiedLog | null,
): string[] {
  return [
    ...(prev === null ? [] : [`the identity is in the care of ${caller}`]),
    ...(prev !== null && log === null
      ? ['its log is not known: give --log FILE or --did DID']
      : []),
    'no limited rule was used before',
  ]
}

function printExplanation(found: Explanation, assumed: readonly string[]): void {
  print(`class: ${found.class}`)
  print(`changes: ${found.changes.join(', ') || 'all of it is new, or ends'}`)
  for (const { rule, applies, why } of found.trace) {
    print(`  ${applies ? 'applies' : '      -'}  ${rule}: ${why}`)
  }
  print(decisionText(found.decision))
  for (const { rule, missing } of found.requirements) {
    for (const lack of missing) print(`  ${rule} lacks ${lack}`)
  }
  print(`assumed: ${assumed.join('; ')}`)
}
