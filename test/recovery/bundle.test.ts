import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseTrustCard } from '../../src/audit/trust-card.ts'
import { openBundle, resultLines } from '../../src/bundle/open.ts'
import { openVerifier } from '../../src/ecdsa/native.ts'
import type { Evidence } from '../../src/recovery/bundle.ts'
import { judgeBundle, matchResult, summariseBundle } from '../../src/recovery/judge.ts'
import { createResultDigest, renderHeader, renderSigned } from '../../src/recovery/result.ts'
import { verifyRecovery } from '../../src/recovery/result.ts'
import type { Summary } from '../../src/recovery/summary.ts'
import { renderSummary } from '../../src/recovery/summary.ts'
import { trustIntent } from '../../src/recovery/trusted.ts'
import {
  accountKinds,
  cardOf,
  makeAccount,
  openHome,
  recoveryKeys,
  soloPolicies,
  sorted,
  writeBundle,
} from '../support/recovery.ts'

const { verify } = openVerifier()
const keys = await recoveryKeys()
const policies = await soloPolicies()

let home: Awaited<ReturnType<typeof openHome>>
let accounts: Evidence[]
let card: string
beforeAll(async () => {
  home = await openHome()
  accounts = sorted(
    await Promise.all(
      accountKinds.map(async (kind, index) => await makeAccount(kind, index, keys)),
    ),
  )
  const intent = await writeBundle(home.path('bundle'), accounts, { keys, policies })
  card = cardOf(intent)
  await writeFile(home.path('result'), await resultOf('bundle'))
})
afterAll(async () => await home.close())

/** All that the air-gapped machine does before a key. */
async function look(path: string, trust = card): Promise<Summary> {
  const bundle = await openBundle(path)
  trustIntent(bundle.intent, parseTrustCard(trust), bundle)
  return await summariseBundle(bundle.intent, bundle.lines(), { verify, onJudged: () => {} })
}

async function resultOf(name: string): Promise<string> {
  const bundle = await openBundle(home.path(name))
  const trusted = trustIntent(bundle.intent, parseTrustCard(card), bundle)
  const lines = [renderHeader(trusted)]
  for await (const judged of judgeBundle(bundle.intent, bundle.lines(), verify)) {
    if (judged.kind === 'excluded') continue
    const compact = await keys.recovery.sign(judged.bytes)
    lines.push(renderSigned(await verifyRecovery(trusted, judged, { compact, verify })))
  }
  const digest = createResultDigest()
  for (const line of lines) digest.add(line)
  return [...lines, digest.end().line, ''].join('\n')
}

async function match(result: string): Promise<void> {
  const bundle = await openBundle(home.path('bundle'))
  const trusted = trustIntent(bundle.intent, parseTrustCard(card), bundle)
  const files = { ...bundle.lines(), result: resultLines(result) }
  const matching = matchResult(trusted, files, { log: verify, result: verify })
  while ((await matching.next()).done !== true);
}

async function copyWith(change: (dir: string) => Promise<void>): Promise<string> {
  const path = home.path('changed')
  await rm(path, { recursive: true, force: true })
  await cp(home.path('bundle'), path, { recursive: true })
  await change(path)
  return path
}

describe('a bundle', () => {
  test('says what follows from it, in totals that add up', async () => {
    const summary = await look(home.path('bundle'))
    expect(summary.accounts).toBe(accountKinds.length)
    expect(summary.operations.count).toBe(6)
    const excluded = Object.values(summary.excluded).reduce((sum, count) => sum + count, 0)
    expect(excluded + summary.operations.count).toBe(summary.accounts)
    const { intent } = await openBundle(home.path('bundle'))
    const text = renderSummary(intent, summary)
    for (const reason of [
      'recovery-key-not-listed',
      'tombstoned',
      'key-above-recovery',
      'legacy',
    ]) {
      expect(text).toMatch(new RegExp(`${reason}: did:plc:`))
    }
    expect(text).toContain(`6 "https://pds.example.com"`)
  })

  test('with one bit flipped, wherever in whatever file, is refused', async () => {
    for (const name of await readdir(home.path('bundle'))) {
      const bytes = await readFile(home.path(`bundle/${name}`))
      const step = Math.ceil(bytes.length / 120)
      for (let at = 0; at < bytes.length; at += step) {
        const changed = Buffer.from(bytes)
        changed[at]! ^= 1 << (at % 8)
        const path = await copyWith(async (dir) => await writeFile(join(dir, name), changed))
        await expect(look(path), `${name}: byte ${at}`).rejects.toThrow(NAMED[name])
      }
    }
  }, 60_000)

  test.each(Object.keys(accountDeeds))(
    'with an account %s is refused, and the account is named',
    async (deed) => {
      const path = await copyWith(async (dir) => await accountDeeds[deed]!(dir))
      await expect(look(path)).rejects.toThrow(
        /did:plc:[a-z2-7]{24}|13 accounts; the intent names|12 accounts; the intent names 13/,
      )
    },
  )

  test('cut off anywhere is refused', async () => {
    const whole = await readFile(home.path('bundle/evidence.jsonl'))
    for (const length of [0, 1, whole.length >> 1, whole.length - 1]) {
      const path = await copyWith(
        async (dir) => await writeFile(join(dir, 'evidence.jsonl'), whole.subarray(0, length)),
      )
      await expect(look(path)).rejects.toThrow(
        /evidence\.jsonl: (line \d+|did:plc:\S+ is missing)|is not the evidence|its last line is not whole/,
      )
    }
  })

  test('with a file more, or one less, is refused', async () => {
    const more = await copyWith(async (dir) => await writeFile(join(dir, 'autorun.inf'), ''))
    await expect(look(more)).rejects.toThrow('"autorun.inf": does not belong')
    const less = await copyWith(async (dir) => await rm(join(dir, 'accounts')))
    await expect(look(less)).rejects.toThrow('accounts: is missing')
  })

  test.each([
    ['recovery', 'recovery: did:key:', /recovery is did:key:.*the trust card says/],
    ['env', 'env: rehearsal', /env is prod; the trust card says rehearsal/],
    ['policies', 'policies: [', /policies is/],
  ])('that is not for the %s of the trust card is refused', async (field, _line, says) => {
    const other = {
      recovery: card.replace(keys.recovery.did, keys.user.did),
      env: card.replace('env: prod', 'env: rehearsal'),
      policies: card.replace(
        /policies: \[[0-9a-f]/,
        (found) => `${found.slice(0, -1)}${found.endsWith('0') ? '1' : '0'}`,
      ),
    }[field as 'env']
    await expect(look(home.path('bundle'), other)).rejects.toThrow(says)
  })

  test('for which the card names no ceremony, or no policies, is refused', async () => {
    const [without] = card.split('ceremony:')
    await expect(look(home.path('bundle'), without)).rejects.toThrow('for no ceremony')
    const open = card.replace(/policies: .*\n/, '')
    await expect(look(home.path('bundle'), open)).rejects.toThrow('one set of policies')
  })
})

const NAMED: Record<string, RegExp> = {
  'intent.json': /intent\.json|intent and its evidence|not-trusted|trust card|the intent names/,
  accounts: /accounts|evidence\.jsonl|did:plc:/,
  'evidence.jsonl': /evidence\.jsonl: (line \d+: )?/,
  'policies.cbor': /policies\.cbor|policy set/,
}

const lines = async (dir: string, name: string) =>
  (await readFile(join(dir, name), 'utf8')).split('\n').slice(0, -1)
const put = async (dir: string, name: string, content: readonly string[]) =>
  await writeFile(join(dir, name), content.map((line) => `${line}\n`).join(''))

/** By somebody who writes each file as it should be, but cannot sign as the new key. */
const accountDeeds: Record<string, (dir: string) => Promise<void>> = {
  'dropped from the evidence': async (dir) => {
    const [, ...rest] = await lines(dir, 'evidence.jsonl')
    await put(dir, 'evidence.jsonl', rest)
  },
  'dropped from both files': async (dir) => {
    await put(dir, 'accounts', (await lines(dir, 'accounts')).slice(1))
    await put(dir, 'evidence.jsonl', (await lines(dir, 'evidence.jsonl')).slice(1))
  },
  'added to the evidence': async (dir) => {
    const [first, second, ...rest] = await lines(dir, 'evidence.jsonl')
    const line = '{"did":"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa","absent":"unread"}'
    await put(dir, 'evidence.jsonl', [line, first!, second!, ...rest])
  },
  'exchanged for another': async (dir) => {
    const all = await lines(dir, 'evidence.jsonl')
    await put(dir, 'evidence.jsonl', [all[1]!, all[0]!, ...all.slice(2)])
  },
  repeated: async (dir) => {
    const [first, ...rest] = await lines(dir, 'evidence.jsonl')
    await put(dir, 'evidence.jsonl', [first!, first!, ...rest])
  },
  changed: async (dir) => {
    const all = await lines(dir, 'evidence.jsonl')
    await put(dir, 'evidence.jsonl', [
      all[0]!.replace('example.com', 'exbmple.com'),
      ...all.slice(1),
    ])
  },
}

describe('a result', () => {
  test('is matched with its bundle', async () => {
    await expect(match(home.path('result'))).resolves.toBeUndefined()
  })

  test('with one bit flipped, wherever, is refused', async () => {
    const bytes = await readFile(home.path('result'))
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 200)) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1 << (at % 8)
      const path = await home.write('changed-result', changed)
      await expect(match(path), `byte ${at}`).rejects.toThrow(/result|did:plc:/)
    }
  })

  test('whose digest was made anew is still refused, and the account is named', async () => {
    const all = (await readFile(home.path('result'), 'utf8')).split('\n').slice(0, -2)
    const sealed = (content: readonly string[]) => {
      const digest = createResultDigest()
      for (const line of content) digest.add(line)
      return [...content, digest.end().line, ''].join('\n')
    }
    const [header, one, two, ...rest] = all
    const didOf = (line: string) => line.split(' ')[0]!
    const swapped = [`${didOf(one!)} ${two!.split(' ')[1]}`, `${didOf(two!)} ${one!.split(' ')[1]}`]
    for (const [content, named] of [
      [[header!, two!, ...rest], didOf(one!)],
      [[header!, one!, two!, two!, ...rest], didOf(two!)],
      [[header!, ...swapped, ...rest], didOf(one!)],
      [[...all, all.at(-1)!], didOf(all.at(-1)!)],
    ] as const) {
      await expect(match(await home.write('changed-result', sealed(content)))).rejects.toThrow(
        named,
      )
    }
  })

  test('of another intent is refused', async () => {
    const text = await readFile(home.path('result'), 'utf8')
    const other = text.replace('00112233', '00112234')
    await expect(match(await home.write('changed-result', other))).rejects.toThrow(
      'not for this intent',
    )
  })
})
