import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { renderDocument } from '../../src/ceremony/document.ts'
import { checkPossession, isChallenge, parsePossession } from '../../src/ceremony/possession.ts'
import type { Possession } from '../../src/ceremony/possession.ts'
import type { RecoveryKeyRecord } from '../../src/ceremony/recovery-key.ts'
import { openPrivateKey } from '../../src/ecdsa/private-key.ts'
import { writeOnce } from '../../src/files/write-once.ts'
import { escapeText } from '../../src/plc/text.ts'
import { probeMessage } from '../../src/signer/pkcs11/probe.ts'
import { parseEnvironment, print, printJson, readText, Refusal, UsageError } from './command.ts'
import type { Command } from './command.ts'
import { checkKnownAnswers } from './keys/known-answers.ts'
import { latchDir } from './keys/latches.ts'
import { signDocument, verifyDocument } from './keys/possession.ts'
import type { Prove } from './keys/possession.ts'
import { readRecord } from './keys/record.ts'
import { openSecret, sourceOptions, sourcesOf } from './keys/sources.ts'
import type { Sources } from './keys/sources.ts'
import { openRecordedToken } from './keys/token.ts'
import { openTerminal } from './terminal.ts'
import type { Terminal } from './terminal.ts'

export const proveUsage = `prove --env prod|rehearsal --record FILE --out FILE [--challenge HEX] [--json]; and for a key in software
    --key-file FILE                                    the key under its passphrase
    --share FILE… --identity FILE… [--dealing FILE]    as many shares as it needs
  (a key on a token is found by its record; PIN: pin-source= there, or asked for)`

export const checkProofUsage =
  'check-proof --env prod|rehearsal --record FILE [--challenge HEX] [--json] PROOF'

/**
 * The drill of a recovery key: it is opened just as for a recovery, and signs that it is there. Never an
 * operation: what it signs begins with a letter that no operation can.
 */
export const prove: Command = async (args, environment) => {
  const { env, record: path, out, challenge, sources, json } = parseProve(args)
  await checkKnownAnswers()
  const record = await readRecord(path)
  if (record.env !== env) {
    throw new Refusal(`${escapeText(path)}: is a key for ${record.env}; this is ${env}`)
  }
  const at = new Date().toISOString()
  const format = 'holdfast/possession/v1'
  const document = { format, env, did: record.did, challenge, at, proof: '' } as const
  const terminal = openTerminal()
  try {
    const around = { environment, terminal }
    const signed = await withKey(
      record,
      sources,
      around,
      async (sign) => await signDocument<Possession>(document, sign),
    )
    if (!(await writeOnce(out, renderDocument(signed), 0o400))) {
      throw new Refusal(`${escapeText(out)}: is there already; nothing was written`)
    }
    if (json) printJson(signed)
    else print(`${record.did} is there and signs; the proof is in ${escapeText(out)}`)
    return 0
  } finally {
    terminal.close()
  }
}

/** Whether a proof is by that key, for that environment, of that challenge. */
export const checkProof: Command = async (args) => {
  const { env, record: path, challenge, file, json } = parseCheck(args)
  const record = await readRecord(path)
  const name = escapeText(file)
  if (record.env !== env) {
    throw new Refusal(`${escapeText(path)}: is a key for ${record.env}; this is ${env}`)
  }
  const possession = parsePossession(await readText(file), name)
  checkPossession(possession, { env, did: record.did, challenge }, name)
  await verifyDocument(possession, name)
  if (json) printJson(possession)
  else print(`${name}: ${record.did} (${env}) signed the challenge ${possession.challenge}`)
  return 0
}

async function withKey<T>(
  record: RecoveryKeyRecord,
  sources: Sources | null,
  around: { environment: NodeJS.ProcessEnv; terminal: Terminal },
  use: (prove: Prove) => Promise<T>,
): Promise<T> {
  if (record.source.kind === 'token') {
    if (sources !== null) throw new UsageError(proveUsage)
    const token = openRecordedToken({ ...around, uri: record.source.uri, latchDir: latchDir() })
    try {
      return await use(token.prove)
    } finally {
      token.close()
    }
  }
  if (sources === null) throw new UsageError(proveUsage)
  const secret = await openSecret(sources, record, around.terminal)
  const key = await openPrivateKey(record.curve, secret).finally(() => secret.fill(0))
  try {
    return await use(async (challenge) => await key.sign(probeMessage(challenge)))
  } finally {
    key.clear()
  }
}

function parseProve(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      ...sourceOptions,
      env: { type: 'string' },
      record: { type: 'string' },
      out: { type: 'string' },
      challenge: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { record, out, challenge = randomBytes(32).toString('hex'), json } = values
  if (record === undefined || out === undefined || !isChallenge(challenge)) {
    throw new UsageError(proveUsage)
  }
  const env = parseEnvironment(values.env, proveUsage)
  return { env, record, out, challenge, json, sources: sourcesOf(values, proveUsage) }
}

function parseCheck(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      env: { type: 'string' },
      record: { type: 'string' },
      challenge: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { record, challenge, json } = values
  const [file, extra] = positionals
  if (record === undefined || file === undefined || extra !== undefined) {
    throw new UsageError(checkProofUsage)
  }
  if (challenge !== undefined && !isChallenge(challenge)) throw new UsageError(checkProofUsage)
  const env = parseEnvironment(values.env, checkProofUsage)
  return { env, record, file, challenge: challenge ?? null, json }
}
