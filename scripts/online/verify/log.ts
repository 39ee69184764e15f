import { createReadStream } from 'node:fs'
import { openVerifier } from '../../../src/ecdsa/native.ts'
import { PlcError } from '../../../src/plc/error.ts'
import { type VerifiedLog, verifyLog } from '../../../src/plc/log.ts'
import { asciiJson, quoteText } from '../../../src/plc/text.ts'

const USAGE = 'usage: holdfast log verify FILE [--json]\n'
const MAX_FILE_BYTES = 256 * 1024 * 1024

type Report = { valid: boolean; text: string; json: object }

/**
 * `holdfast log verify FILE [--json]`: judges the JSON of `GET /:did/log/audit`, without database and
 * without network.
 * @returns exit code: 0 valid, 1 invalid, 2 wrong usage, 3 the file could not be read
 */
export async function logVerify(args: string[]): Promise<number> {
  const json = args.includes('--json')
  const [file, ...rest] = args.filter((arg) => arg !== '--json')
  if (file === undefined || file.startsWith('-') || rest.length > 0) {
    process.stderr.write(USAGE)
    return 2
  }
  let text: string
  try {
    text = await readBounded(file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    process.stderr.write(`could not read the file: ${quoteText(reason)}\n`)
    return 3
  }
  const report = await judge(text)
  process.stdout.write(json ? `${asciiJson(report.json)}\n` : report.text)
  return report.valid ? 0 : 1
}

// As a stream, since a pipe or a device tells no size beforehand.
async function readBounded(file: string): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_FILE_BYTES) throw new Error(`more than ${MAX_FILE_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function judge(text: string): Promise<Report> {
  try {
    const auditLog: unknown = JSON.parse(text)
    return reportValid(await verifyLog(claimedDid(auditLog), auditLog, openVerifier().verify))
  } catch (error) {
    if (error instanceof PlcError) return reportInvalid(error)
    if (error instanceof SyntaxError) return reportInvalid(new PlcError('malformed', 'not JSON'))
    throw error
  }
}

/** The log names its own DID, which its genesis must then make. */
function claimedDid(auditLog: unknown): string {
  const first: unknown = Array.isArray(auditLog) ? auditLog[0] : undefined
  if (typeof first === 'object' && first !== null && 'did' in first) {
    if (typeof first.did === 'string') return first.did
  }
  throw new PlcError('malformed', 'not a list of log entries with a "did"')
}

function reportValid(log: VerifiedLog): Report {
  const nullified = log.entries.filter((entry) => entry.nullified).length
  const rotationKeys = log.data?.rotationKeys ?? []
  const json = {
    valid: true,
    did: log.did,
    head: log.head.cid,
    operations: log.entries.length,
    nullified,
    tombstoned: log.tombstoned,
    rotationKeys,
  }
  const lines = [
    'valid',
    `did: ${log.did}`,
    `head: ${log.head.cid}`,
    `operations: ${log.entries.length}`,
    `nullified: ${nullified}`,
    `tombstoned: ${log.tombstoned ? 'yes' : 'no'}`,
    `rotation keys: ${rotationKeys.length}`,
    ...rotationKeys.map((key, index) => `  ${index} ${quoteText(key)}`),
  ]
  return { valid: true, json, text: `${lines.join('\n')}\n` }
}

function reportInvalid(error: PlcError): Report {
  const { code, message } = error
  const json = { valid: false, code, message, entry: error.entry ?? null, rule: error.rule ?? null }
  return { valid: false, json, text: `invalid: ${message}\n` }
}
