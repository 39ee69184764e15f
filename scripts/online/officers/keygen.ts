import { stat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { encodeOfficerSecret } from '../../../src/approval/officer-secret.ts'
import { openPrivateKey, randomSecret } from '../../../src/ecdsa/private-key.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import type { Curve } from '../../../src/plc/did-key.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { createKey } from '../../../src/signer/pkcs11/admin.ts'
import { parseTokenUri } from '../../../src/signer/pkcs11/uri.ts'
import { openWithPassphrase, sealWithPassphrase } from '../../offline/age.ts'
import { readBounded, Refusal } from '../../offline/command.ts'
import { MIN_CHARACTERS, newPassphrase } from '../../offline/keys/passphrase.ts'
import { latched } from '../../offline/keys/token.ts'
import { openTerminal } from '../../offline/terminal.ts'
import type { Terminal } from '../../offline/terminal.ts'
import { UsageError, print, printJson } from '../command.ts'
import { readPassphraseFile, tokenAccess } from '../officer-key.ts'

export const keygenUsage =
  'officers keygen --out FILE [--passphrase-file FILE] [--curve P-256|K-256] | ' +
  'officers keygen --token URI [--label NAME] [--curve P-256|K-256] [--json]'

const DAY_MS = 86_400_000
const VALID_DAYS = 365

/** `keyFile` or `token`: what `--key-file` or `--token` takes. */
type Made = { readonly did: string; readonly curve: Curve } & (
  | { readonly keyFile: string }
  | { readonly token: string }
)

/** An officer's own key, made where it will be used. Nothing leaves this machine. */
export async function keygen(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: 'string' },
      'passphrase-file': { type: 'string' },
      token: { type: 'string' },
      label: { type: 'string' },
      curve: { type: 'string', default: 'P-256' },
      json: { type: 'boolean', default: false },
    },
  })
  const { out, token, label, curve, 'passphrase-file': passphraseFile } = values
  if (curve !== 'K-256' && curve !== 'P-256') throw new UsageError(keygenUsage)
  if ((out === undefined) === (token === undefined)) throw new UsageError(keygenUsage)
  if (out === undefined ? passphraseFile !== undefined : label !== undefined) {
    throw new UsageError(keygenUsage)
  }
  const terminal = openTerminal()
  try {
    const made =
      out === undefined
        ? await makeOnToken({ uri: token!, label: label ?? 'holdfast-officer', curve }, terminal)
        : await makeFile({ out, curve, passphraseFile }, terminal)
    if (values.json) printJson(made)
    else tell(made)
    return 0
  } finally {
    terminal.close()
  }
}

/** The file is opened again once it is written: a key that cannot be opened is none. */
async function makeFile(
  order: { out: string; curve: Curve; passphraseFile: string | undefined },
  terminal: Terminal,
): Promise<Made> {
  const { out, curve, passphraseFile } = order
  // Before anybody thinks of a passphrase; what counts is that writing does not replace either.
  if ((await stat(out).catch(() => null)) !== null) throw taken(out)
  const passphrase =
    passphraseFile === undefined
      ? await newPassphrase(terminal)
      : long(await readPassphraseFile(passphraseFile), passphraseFile)
  const secret = randomSecret(curve)
  const key = await openPrivateKey(curve, secret)
  const { did } = key
  const content = encodeOfficerSecret({ curve, did, secret })
  try {
    const sealed = await sealWithPassphrase(passphrase, content)
    if (!(await writeOnce(out, sealed))) throw taken(out)
    const file = escapeText(out)
    const opened = await openWithPassphrase(passphrase, await readBounded(out, sealed.length))
    const isSame = Buffer.compare(opened, content) === 0
    opened.fill(0)
    if (!isSame) throw new Refusal(`${file}: does not give the key back; do not use it`)
    return { did, curve, keyFile: out }
  } finally {
    secret.fill(0)
    content.fill(0)
    key.clear()
  }
}

const taken = (path: string) =>
  new Refusal(`${escapeText(path)}: is there already; nothing was written`)

function long(passphrase: string, path: string): string {
  if (passphrase.length >= MIN_CHARACTERS) return passphrase
  throw new Refusal(
    `${escapeText(path)}: a passphrase has ${MIN_CHARACTERS} characters at least; nothing was made`,
  )
}

async function makeOnToken(
  { uri, label, curve }: { uri: string; label: string; curve: Curve },
  terminal: Terminal,
): Promise<Made> {
  const { access, forget } = tokenAccess(parseTokenUri(uri), terminal)
  try {
    const key = await latched(createKey(access, { label, curve }))
    if (key === null) {
      throw new Refusal(`a key ${escapeText(label)} is on the token already; nothing was made`)
    }
    if (key.did === null || key.uri === null) {
      throw new Refusal(`the token made ${escapeText(label)}, but shows no public key for it`)
    }
    return { did: key.did, curve, token: key.uri }
  } finally {
    forget()
  }
}

function tell(made: Made): void {
  const { did } = made
  const day = (from: number) => new Date(from).toISOString().slice(0, 10)
  const from = Date.now()
  const until = from + VALID_DAYS * DAY_MS
  print(`Made ${did}`)
  print(
    'keyFile' in made
      ? `Sign with it by: --key-file ${escapeText(made.keyFile)}`
      : `Sign with it by: --token '${made.token}'`,
  )
  print('For the roster, among your credentials; ID is a name of your choice:')
  print(`      - kind: did:key`)
  print(`        id: ID`)
  print(`        did: ${did}`)
  print(`        from: ${day(from)}T00:00:00Z`)
  print(`        until: ${day(until)}T00:00:00Z`)
}
