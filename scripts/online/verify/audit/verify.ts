import { parseArgs } from 'node:util'
import { availableParallelism } from 'node:os'
import { AuditError } from '../../../../src/audit/error.ts'
import { formatVkey } from '../../../../src/audit/note.ts'
import type { Finding } from '../../../../src/audit/verify/fact.ts'
import { verifyLog } from '../../../../src/audit/verify/verify-log.ts'
import type { Report } from '../../../../src/audit/verify/verify-log.ts'
import { openVerifier } from '../../../../src/ecdsa/native.ts'
import { asciiJson, escapeText } from '../../../../src/plc/text.ts'
import { HeldError } from '../../../../src/sequencer/held.ts'
import { readTile } from './folder.ts'
import { examineParts } from './runs.ts'
import { openTrust } from './trust.ts'
import type { Options, Trust } from './trust.ts'

const USAGE =
  'usage: holdfast audit verify DIR [--trust CARD] [--checkpoint FILE] [--max-age D] [--json]\n'
const SHOWN = 20
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
const DEFAULT_MAX_AGE = 86_400

/**
 * `holdfast audit verify DIR`: judges an exported log without database and without network.
 * @returns exit code: 0 sound, 1 tampered, 2 incomplete, 3 cannot run
 */
export async function auditVerify(args: string[]): Promise<number> {
  const options = readOptions(args)
  if (options === null) {
    process.stderr.write(USAGE)
    return 3
  }
  let trust: Trust
  try {
    trust = openTrust(options, Date.now() / 1000)
  } catch (error) {
    return refused(error, options)
  }
  try {
    const report = withCard(await verifyFolder(options.dir, trust), trust)
    process.stdout.write(options.json ? `${asciiJson(jsonOf(report))}\n` : textOf(report))
    return { sound: 0, tampered: 1, incomplete: 2 }[report.verdict]
  } catch (error) {
    process.stderr.write(`cannot run: ${messageOf(error)}\n`)
    return 3
  }
}

/** Every entry of an export, on all cores. */
export async function verifyFolder(dir: string, trust: Trust): Promise<Report> {
  const { checkpoint, key, anchors, unanchored } = trust
  const workers = Math.min(8, availableParallelism())
  return await verifyLog({
    checkpoint,
    checkpointKey: formatVkey(key),
    anchors,
    unanchored,
    runs: (known) => examineParts({ dir, size: checkpoint.size, workers, known }),
    tile: async (tile) => readTile(dir, tile),
    verify: openVerifier().verify,
  })
}

/** Policies that the auditor does not know of were nobody's to put in force. */
function withCard(report: Report, { card }: Trust): Report {
  const known = card?.policies ?? null
  const strange = known === null ? [] : report.policies.filter((digest) => !known.includes(digest))
  if (strange.length === 0) return report
  const findings = strange.map((digest) => ({
    index: null,
    message: `policies ${digest} were in force and are not on the trust card`,
  }))
  return { ...report, verdict: 'tampered', findings: [...report.findings, ...findings] }
}

/** A checkpoint that is forged was tampered with; a file that cannot be read is not the log's fault. */
function refused(error: unknown, { json, trust }: { json: boolean; trust: string | null }): number {
  const codes = trust === null ? ['bad-signature'] : ['bad-signature', 'untrusted']
  const forged = error instanceof AuditError && codes.includes(error.code)
  const message = messageOf(error)
  if (!forged) {
    process.stderr.write(`cannot run: ${message}\n`)
    return 3
  }
  process.stdout.write(
    json
      ? `${asciiJson({ verdict: 'tampered', findings: [{ index: null, message }] })}\n`
      : `tampered: ${message}\n`,
  )
  return 1
}

function readOptions(args: string[]): (Options & { json: boolean }) | null {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        trust: { type: 'string' },
        checkpoint: { type: 'string' },
        'max-age': { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    })
    const [dir, ...rest] = positionals
    const maxAge = secondsOf(values['max-age'])
    if (dir === undefined || rest.length > 0 || maxAge === null) return null
    const { trust = null, checkpoint = null, json } = values
    return { dir, trust, checkpoint, maxAge, json }
  } catch {
    return null
  }
}

function secondsOf(age: string | undefined): number | null {
  if (age === undefined) return DEFAULT_MAX_AGE
  const [, number, unit = ''] = /^([1-9][0-9]{0,5})([smhd])$/.exec(age) ?? []
  return number === undefined ? null : Number(number) * UNITS[unit]!
}

function jsonOf(report: Report): object {
  const { findings, missing } = report
  return {
    ...report,
    wrong: findings.length,
    lacking: missing.length,
    findings: findings.slice(0, 1000),
    missing: missing.slice(0, 1000),
  }
}

function textOf({ verdict, size, entries, signatures, findings, missing }: Report): string {
  const lines = [
    verdict,
    `entries: ${entries} of ${size}`,
    `signatures: ${signatures}`,
    ...linesOf('wrong', findings),
    ...linesOf('lacking', missing),
  ]
  return `${lines.join('\n')}\n`
}

function linesOf(what: string, list: readonly Finding[]): string[] {
  const shown = list
    .slice(0, SHOWN)
    .map(
      ({ index, message }) =>
        `${what}${index === null ? '' : ` at entry ${index}`}: ${escapeText(message)}`,
    )
  return list.length > SHOWN ? [...shown, `… and ${list.length - SHOWN} more`] : shown
}

function messageOf(error: unknown): string {
  if (error instanceof AuditError || error instanceof HeldError) return error.message
  return error instanceof Error ? escapeText(error.message) : String(error)
}
