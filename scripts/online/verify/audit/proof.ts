import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { AuditError } from '../../../../src/audit/error.ts'
import { parseProof, verifyProof } from '../../../../src/audit/proof.ts'
import { logKeyOf, parseTrustCard } from '../../../../src/audit/trust-card.ts'
import { verifyEd25519 } from '../../../../src/ed25519/openssl.ts'
import { asciiJson, escapeText } from '../../../../src/plc/text.ts'

const USAGE = 'usage: holdfast audit proof verify FILE --trust CARD [--json]\n'

/**
 * `holdfast audit proof verify FILE`: that the entry which a receipt carries is in the log, under a
 * checkpoint by the key on the auditor's card. No database, no network.
 * @returns exit code: 0 it is, 1 it is not, 3 cannot run
 */
export function auditProofVerify(args: string[]): number {
  const options = readOptions(args)
  if (options === null) {
    process.stderr.write(USAGE)
    return 3
  }
  try {
    const card = parseTrustCard(readFileSync(options.trust, 'utf8'))
    return judge(readFileSync(options.file), { keys: [logKeyOf(card)], json: options.json })
  } catch (error) {
    const message = error instanceof Error ? escapeText(error.message) : String(error)
    process.stderr.write(`cannot run: ${message}\n`)
    return 3
  }
}

function judge(
  bytes: Uint8Array,
  { keys, json }: { keys: Parameters<typeof verifyProof>[2]['keys']; json: boolean },
): number {
  try {
    const proof = parseProof(bytes)
    if (proof.extra === null) throw new AuditError('malformed', 'the receipt carries no entry')
    const { origin, size } = verifyProof(proof, proof.extra, { keys, verify: verifyEd25519 })
    const valid = { valid: true, origin, index: proof.index, size }
    process.stdout.write(
      json ? `${asciiJson(valid)}\n` : `valid: entry ${proof.index} of ${size} in ${origin}\n`,
    )
    return 0
  } catch (error) {
    if (!(error instanceof AuditError)) throw error
    const { message } = error
    process.stdout.write(
      json ? `${asciiJson({ valid: false, message })}\n` : `not valid: ${message}\n`,
    )
    return 1
  }
}

function readOptions(args: string[]): { file: string; trust: string; json: boolean } | null {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { trust: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
    const [file, ...rest] = positionals
    if (file === undefined || rest.length > 0 || values.trust === undefined) return null
    return { file, trust: values.trust, json: values.json }
  } catch {
    return null
  }
}
