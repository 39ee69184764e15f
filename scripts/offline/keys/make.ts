import { join } from 'node:path'
import { parseCustodians } from '../../../src/ceremony/custodians.ts'
import type { Custodians } from '../../../src/ceremony/custodians.ts'
import type { Environment } from '../../../src/ceremony/env.ts'
import { encodeRecoverySecret } from '../../../src/ceremony/secret-file.ts'
import { openPrivateKey } from '../../../src/ecdsa/private-key.ts'
import type { PrivateKey } from '../../../src/ecdsa/private-key.ts'
import type { Curve } from '../../../src/plc/did-key.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { probeMessage } from '../../../src/signer/pkcs11/probe.ts'
import { openWithPassphrase, sealWithPassphrase } from '../age.ts'
import { readBounded, readText, Refusal } from '../command.ts'
import type { Terminal } from '../terminal.ts'
import type { Made } from './announce.ts'
import { dealSecret } from './deal.ts'
import { newPassphrase } from './passphrase.ts'
import type { Prove } from './possession.ts'
import { makeRecord, writeKeyFolder } from './record.ts'
import { checkTokenKey, findTokenKey, makeTokenKey, proveWithToken } from './token.ts'
import type { OpenToken } from './token.ts'

export type Order = { readonly env: Environment; readonly curve: Curve; readonly out: string }
export type Split = {
  readonly threshold: number
  readonly custodians: Custodians
  readonly retires: readonly string[]
}

/** @throws PolicyError for a file that is not a list of custodians */
export async function readSplit(
  threshold: number,
  path: string,
  retires: readonly string[],
): Promise<Split> {
  const custodians = parseCustodians(await readText(path), escapeText(path))
  const { length } = custodians.list
  if (threshold <= length) return { threshold, custodians, retires }
  throw new Refusal(`${threshold} of ${length} shares: there are not so many custodians`)
}

/** The secret in shares. The caller clears the secret. */
export async function makeShares(secret: Uint8Array, order: Order, split: Split): Promise<Made> {
  const key = await openPrivateKey(order.curve, secret)
  const { did } = key
  const { env, curve, out } = order
  const made = new Date().toISOString()
  const prove = proverOf(key)
  try {
    const dealt = await dealSecret(secret, { ...split, env, did, made, prove })
    const { set, threshold, shares } = dealt.dealing
    const source = { kind: 'shares', set, threshold, shares: shares.length } as const
    const record = await makeRecord({ env, did, curve, source, made }, prove)
    await writeKeyFolder(out, record, dealt.files)
    return { record, folder: out, remarks: [], next: nextForCustodians(out, env) }
  } finally {
    key.clear()
  }
}

/** The secret in one file under a passphrase, which is opened again once it is written. */
export async function makeFile(
  secret: Uint8Array,
  order: Order,
  terminal: Terminal,
): Promise<Made> {
  const passphrase = await newPassphrase(terminal)
  const key = await openPrivateKey(order.curve, secret)
  const { env, curve, out } = order
  const { did } = key
  const content = encodeRecoverySecret({ env, curve, did, secret })
  try {
    const sealed = await sealWithPassphrase(passphrase, content)
    const made = new Date().toISOString()
    const source = { kind: 'file' } as const
    const record = await makeRecord({ env, did, curve, source, made }, proverOf(key))
    await writeKeyFolder(out, record, { [KEY_FILE]: sealed })
    const read = await readBounded(join(out, KEY_FILE), sealed.length)
    const opened = Buffer.from(await openWithPassphrase(passphrase, read))
    if (!opened.equals(content)) throw new Refusal(`${KEY_FILE} does not give the key back`)
    opened.fill(0)
    const remarks = [`whoever has ${KEY_FILE} and the passphrase has every account`]
    return { record, folder: out, remarks, next: [KEEP_FILE] }
  } finally {
    content.fill(0)
    key.clear()
  }
}

export const KEY_FILE = 'recovery-key.age'
const KEEP_FILE = `Keep copies of ${KEY_FILE} in several places, and the passphrase in others.`

/** A key that is made on a token and stays there, or one that is there already. */
export async function makeOnToken(
  token: OpenToken,
  order: Order,
  { label, adopt }: { readonly label: string; readonly adopt: boolean },
): Promise<Made> {
  const { env, curve, out } = order
  const wanted = { label, curve }
  const key = adopt ? await findTokenKey(token, wanted) : await makeTokenKey(token, wanted)
  const { did, uri } = key
  if (did === null || uri === null) throw new Refusal('the token shows no public key for it')
  const remarks = await checkTokenKey(token, { ...wanted, did })
  const prove: Prove = async (challenge) =>
    await proveWithToken(token, { label, id: null }, challenge)
  const made = new Date().toISOString()
  const record = await makeRecord({ env, did, curve, source: { kind: 'token', uri }, made }, prove)
  await writeKeyFolder(out, record, {})
  return { record, folder: out, remarks, next: [] }
}

function proverOf(key: PrivateKey): Prove {
  return async (challenge) => await key.sign(probeMessage(challenge))
}

function nextForCustodians(out: string, env: Environment): string[] {
  const mark = env === 'prod' ? '' : ` --env ${env}`
  const folder = escapeText(out)
  return [
    'Before the key is put in force, each custodian opens their own share once, and takes it away:',
    `  scripts/ceremony check-shares${mark} --dealing ${folder}/dealing.json --identity IDENTITY ${folder}/NAME.share.age`,
    'dealing.json and recovery-key.json are public: keep them with your policies.',
  ]
}
