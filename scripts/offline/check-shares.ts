import { parseArgs } from 'node:util'
import { checkShare } from '../../src/ceremony/dealing.ts'
import type { Dealing, Wanted } from '../../src/ceremony/dealing.ts'
import { ShareError } from '../../src/ceremony/share-error.ts'
import { escapeText } from '../../src/plc/text.ts'
import { parseEnvironment, print, printJson, Refusal, UsageError } from './command.ts'
import type { Command } from './command.ts'
import { readDealing, readIdentities } from './keys/open-software.ts'
import { listedIn, openShareFile, readShareFile } from './keys/share-file.ts'
import { openTerminal } from './terminal.ts'

export const checkSharesUsage =
  'check-shares --dealing FILE [--identity FILE…] [--did DID:KEY] [--env prod|rehearsal] [--json] SHARE…'

type Checked = {
  readonly file: string
  readonly custodian: string | null
  readonly x: number | null
  /** `opened`: readable and right. `intact`: the file is as it was dealt; nobody opened it. */
  readonly state: 'opened' | 'intact' | 'refused'
  readonly error: string | null
}

/**
 * Each share alone, against the transcript of its dealing; the key is not rebuilt. Without an identity
 * only that the files are still those that were dealt.
 */
export const checkShares: Command = async (args) => {
  const { dealing: path, identity, shares, did, env, json } = parse(args)
  const dealing = await readDealing(path)
  if (did !== undefined && dealing.did !== did) {
    throw new Refusal(`${escapeText(path)}: is of ${dealing.did}, but ${did} is asked for`)
  }
  if (dealing.env !== env) {
    throw new Refusal(`${escapeText(path)}: is of a key for ${dealing.env}; this is ${env}`)
  }
  const terminal = openTerminal()
  try {
    const identities = await readIdentities(identity, terminal)
    const checked: Checked[] = []
    for (const file of shares) checked.push(await check(file, identities, { dealing, env }))
    report(dealing, checked, json)
    return checked.some(({ state }) => state === 'refused') ? 1 : 0
  } finally {
    terminal.close()
  }
}

async function check(
  path: string,
  identities: readonly string[],
  { dealing, env }: { dealing: Dealing; env: Wanted['env'] },
): Promise<Checked> {
  const file = escapeText(path)
  try {
    const content = await readShareFile(path)
    if (identities.length === 0) {
      const custodian = listedIn(content, dealing)
      if (custodian !== null) return { file, custodian, x: null, state: 'intact', error: null }
    }
    const share = await openShareFile(content, identities, dealing)
    const { x, custodian, y } = share
    try {
      checkShare(share, { env, dealing, retired: [] })
    } catch (error) {
      throw error instanceof ShareError ? error.in(file) : error
    } finally {
      y.fill(0)
    }
    return { file, custodian, x, state: 'opened', error: null }
  } catch (error) {
    if (!(error instanceof ShareError) && !(error instanceof Refusal)) throw error
    const { custodian = null, x = null } = error instanceof ShareError ? error.share : {}
    return { file, custodian, x, state: 'refused', error: error.message }
  }
}

function report(dealing: Dealing, checked: readonly Checked[], json: boolean): void {
  const opened = checked.filter(({ state }) => state === 'opened').map(({ custodian }) => custodian)
  const rest = dealing.shares.map(({ custodian }) => custodian).filter((id) => !opened.includes(id))
  const { did, env, set, threshold } = dealing
  const at = new Date().toISOString()
  if (json) {
    printJson({ did, env, set, threshold, at, shares: checked, notOpened: rest })
    return
  }
  for (const { file, custodian, x, state, error } of checked) {
    if (state === 'refused') print(`REFUSED  ${error ?? file}`)
    else if (state === 'intact')
      print(`intact   ${custodian ?? ''}  ${file} (as dealt; not opened)`)
    else print(`ok       ${custodian ?? ''}  x ${x}  ${file}`)
  }
  print(`${did}, set ${set}: any ${threshold} of ${dealing.shares.length} give the key back.`)
  if (rest.length > 0) print(`Not opened here: ${rest.join(', ')}.`)
}

function parse(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      dealing: { type: 'string' },
      identity: { type: 'string', multiple: true, default: [] },
      did: { type: 'string' },
      env: { type: 'string', default: 'prod' },
      json: { type: 'boolean', default: false },
    },
  })
  const { dealing, identity, did, json } = values
  if (dealing === undefined || positionals.length === 0) throw new UsageError(checkSharesUsage)
  const env = parseEnvironment(values.env, checkSharesUsage)
  return { dealing, identity, did, env, json, shares: positionals }
}
