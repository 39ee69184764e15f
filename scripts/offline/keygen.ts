import { parseArgs } from 'node:util'
import { randomSecret } from '../../src/ecdsa/private-key.ts'
import { parseEnvironment, UsageError } from './command.ts'
import type { Command } from './command.ts'
import { announce } from './keys/announce.ts'
import type { Made } from './keys/announce.ts'
import { checkKnownAnswers } from './keys/known-answers.ts'
import { latchDir } from './keys/latches.ts'
import { makeFile, makeOnToken, makeShares, readSplit } from './keys/make.ts'
import type { Order } from './keys/make.ts'
import { openToken } from './keys/token.ts'
import { openTerminal } from './terminal.ts'
import type { Terminal } from './terminal.ts'

export const keygenUsage = `keygen --env prod|rehearsal --out FOLDER [--curve K-256|P-256] [--json], and one of
    --threshold K --custodians FILE       in software, split at once; a share sealed to each custodian
    --token URI [--label NAME] [--adopt]  on a PKCS#11 token (PIN: the URI's pin-source=, or asked for);
                                          --adopt: a key of that label is there already
    --passphrase                          in one file under a passphrase (for the smallest deployments)`

type Parsed = ReturnType<typeof parse>

/** Makes a recovery key. Its did:key is printed when the key is durable, read back and proven. */
export const keygen: Command = async (args, environment) => {
  const parsed = parse(args)
  await checkKnownAnswers()
  const terminal = openTerminal()
  try {
    announce(await make(parsed, environment, terminal), parsed.json)
    return 0
  } finally {
    terminal.close()
  }
}

async function make(
  { order, how, label, adopt }: Parsed,
  environment: NodeJS.ProcessEnv,
  terminal: Terminal,
): Promise<Made> {
  if (how.kind === 'token') {
    const token = openToken({ uri: how.uri, latchDir: latchDir(), environment, terminal })
    try {
      return await makeOnToken(token, order, { label, adopt })
    } finally {
      token.close()
    }
  }
  const split = how.kind === 'shares' ? await readSplit(how.threshold, how.custodians, []) : null
  const secret = randomSecret(order.curve)
  try {
    if (split === null) return await makeFile(secret, order, terminal)
    return await makeShares(secret, order, split)
  } finally {
    secret.fill(0)
  }
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      env: { type: 'string' },
      out: { type: 'string' },
      curve: { type: 'string', default: 'K-256' },
      threshold: { type: 'string' },
      custodians: { type: 'string' },
      token: { type: 'string' },
      label: { type: 'string', default: 'recovery' },
      adopt: { type: 'boolean', default: false },
      passphrase: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const { out, curve, token, threshold, custodians, passphrase, label, adopt, json } = values
  if (out === undefined || out === '') throw new UsageError(keygenUsage)
  if (curve !== 'K-256' && curve !== 'P-256') throw new UsageError(keygenUsage)
  const order: Order = { env: parseEnvironment(values.env, keygenUsage), curve, out }
  const how = howOf({ token, threshold, custodians, passphrase })
  if (adopt && how.kind !== 'token') throw new UsageError(keygenUsage)
  return { order, how, label, adopt, json }
}

type How =
  | { readonly kind: 'token'; readonly uri: string }
  | { readonly kind: 'shares'; readonly threshold: number; readonly custodians: string }
  | { readonly kind: 'file' }

function howOf(given: {
  token: string | undefined
  threshold: string | undefined
  custodians: string | undefined
  passphrase: boolean
}): How {
  const { token, threshold, custodians, passphrase } = given
  const isShares = threshold !== undefined || custodians !== undefined
  const count = [token !== undefined, isShares, passphrase].filter(Boolean).length
  if (count !== 1) throw new UsageError(keygenUsage)
  if (token !== undefined) return { kind: 'token', uri: token }
  if (passphrase) return { kind: 'file' }
  if (custodians === undefined) throw new UsageError(keygenUsage)
  return { kind: 'shares', threshold: parseThreshold(threshold, keygenUsage), custodians }
}

export function parseThreshold(text: string | undefined, usage: string): number {
  if (text === undefined || !/^([2-9]|[1-9][0-9]{1,2})$/.test(text) || Number(text) > 255) {
    throw new UsageError(`${usage}\n--threshold is 2 to 255`)
  }
  return Number(text)
}
