import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openPrivateKey, randomSecret } from '../../src/ecdsa/private-key.ts'
import { print, printJson, UsageError } from '../online/command.ts'
import { judgeOutcome, liveOn, readAll } from './aftermath.ts'
import type { Before } from './aftermath.ts'
import { holdCeremony, makeRecoveryKey } from './ceremony.ts'
import { makeEarly, makeOthers, moveHead } from './population.ts'
import type { Kind, Member } from './population.ts'
import { offlineIn, onlineAt } from './programs.ts'
import { renderReport } from './report.ts'
import type { Report } from './report.ts'
import { createSteps, DrillFailed } from './step.ts'
import type { Step, Steps } from './step.ts'
import { addToPolicies, adoptPds, openWorld, recoveryItem } from './world.ts'
import type { World } from './world.ts'

export const drillUsage = 'drill [--accounts N] [--json]'

/** A directory of the drill's own answers as fast as it can. */
const RATE = '1000'
const MIN_ACCOUNTS = 20
const MAX_ACCOUNTS = 5_000
/** So many accounts log in, post and change their handles afterwards. */
const LIVING = 6

/**
 * Loses a rotation key and brings the accounts back: a PDS, a directory and a recovery key of the drill's
 * own, and the same commands as in earnest. Exit 0: it works here. 1: a step failed, and which.
 */
export async function drill(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      accounts: { type: 'string', default: '60' },
      json: { type: 'boolean', default: false },
    },
  })
  const accounts = Number(values.accounts)
  if (!/^[0-9]+$/.test(values.accounts) || accounts < MIN_ACCOUNTS || accounts > MAX_ACCOUNTS) {
    throw new UsageError(`${drillUsage}\n--accounts: ${MIN_ACCOUNTS} to ${MAX_ACCOUNTS}`)
  }
  if (!isSetUp()) {
    process.stderr.write(
      'a drill needs a PDS and a PLC server beside the clone; run once: npm run drill\n',
    )
    return 3
  }
  const steps = createSteps(values.json ? () => {} : tellStep)
  const report = await rehearse(accounts, steps)
  if (values.json) printJson(report)
  else print(renderReport(report))
  return report.ok ? 0 : 1
}

/** What `npm run drill` and the tests install. */
function isSetUp(): boolean {
  const folder = fileURLToPath(new URL('../../test/e2e/node_modules', import.meta.url))
  return existsSync(join(folder, '.holdfast-addon'))
}

function tellStep({ name, ok, seconds, detail }: Step): void {
  print(
    `${ok ? 'ok  ' : 'FAIL'} ${seconds.toFixed(1).padStart(6)} s  ${name}${detail === '' ? '' : `: ${detail}`}`,
  )
}

async function rehearse(count: number, steps: Steps): Promise<Report> {
  const world = await steps.run('a directory and a room are made', openWorld)
  try {
    const outcome = await lose(world, count, steps)
    return {
      ok: true,
      accounts: outcome.members.length,
      ...outcome.counted,
      logs: null,
      steps: steps.done,
    }
  } catch (error) {
    if (!(error instanceof DrillFailed)) throw error
    const logs = await world.keepLogs()
    const nothing = { saved: 0, left: 0, byKind: {}, isolated: false }
    return { ok: false, accounts: count, ...nothing, logs, steps: steps.done }
  } finally {
    await world.close()
  }
}

async function lose(world: World, count: number, steps: Steps) {
  const offline = offlineIn(world.room.dir)
  const recovery = await steps.run(
    'a recovery key is made, in shares for 2 of 3',
    async () => await makeRecoveryKey(world.room, offline.run),
  )
  const life = await live(world, { count, recovery }, steps)
  const { members, port } = life
  await steps.run('the key and all that Holdfast had is destroyed', async () => {
    await life.pds.stop()
    await life.holdfast.stop()
    await rm(join(world.dataDir('first'), 'keys'), { recursive: true })
    await rm(world.dataDir('first'), { recursive: true, force: true })
  })
  const { online, replacement } = await newDeployment(world, recovery, steps)
  const plcUrl = world.stack.plc.url
  await writeFile(
    world.room.path('others.txt'),
    members.flatMap(({ did, account }) => (account === null ? [`${did}\n`] : [])).join(''),
  )
  const purpose = [
    '--env',
    'rehearsal',
    '--lost',
    world.lost.did,
    '--replacement',
    'pds',
    '--rate',
    RATE,
  ]
  const bundle = world.room.path('bundle')
  const sources = [
    '--pds-data',
    join(world.stack.dir, 'pds'),
    '--from',
    world.room.path('others.txt'),
  ]
  await steps.run(
    'recovery plan: the logs of all accounts are read',
    async () => await online(['recovery', 'plan', bundle, ...purpose, ...sources]),
  )
  const moving = members.find(({ kind }) => kind === 'renamed')
  if (moving === undefined) throw new TypeError('no account has changed its handle')
  await moveHead(plcUrl, moving.did, world.lost)
  const before = await readAll(plcUrl, members)
  const where = offline.isolated
    ? 'without any network'
    : 'on this machine’s network (no namespaces)'
  const first = { bundle: 'bundle', result: 'result' }
  const held = await steps.run(
    `ceremony inspect, sign and verify, ${where}`,
    async () => await holdCeremony(world.room, offline.run, first),
  )
  const paths = [bundle, world.room.path('result')]
  const trust = ['--trust', world.room.path('bundle.yaml')]
  await steps.run('recovery import and submit', async () => {
    await online(['recovery', 'import', ...trust, ...paths], `${held.words}\n`)
    await online(['recovery', 'submit', held.intent.ceremony, '--rate', RATE], '', [0, 1])
  })
  await steps.run('the account that went on meanwhile is planned again', async () => {
    const second = world.room.path('second')
    await online(['recovery', 'plan', second, ...purpose, '--stale', held.intent.ceremony])
    const again = await holdCeremony(world.room, offline.run, {
      bundle: 'second',
      result: 'second-result',
    })
    const files = [
      '--trust',
      world.room.path('second.yaml'),
      second,
      world.room.path('second-result'),
    ]
    await online(['recovery', 'import', ...files], `${again.words}\n`)
    await online(['recovery', 'submit', again.intent.ceremony, '--rate', RATE])
  })
  await steps.run('the accounts are taken into care by the new deployment', async () => {
    const list = world.room.path('all.txt')
    await writeFile(list, members.map(({ did }) => `${did}\n`).join(''))
    await online(['enroll', '--from', list, '--rate', RATE], '', [0, 1])
  })
  const keys = { lost: world.lost.did, replacement }
  const judged = await steps.run(
    'every account is judged, by libraries that are not ours',
    async () => await judgeOutcome(plcUrl, members, { before, ...keys }),
    ({ saved, left }) => `${saved} came back, ${left} could not, nothing else has changed`,
  )
  await afterwards(world, { members, port, before }, steps)
  return {
    members,
    counted: { ...judged, byKind: countKinds(members), isolated: offline.isolated },
  }
}

/** A PDS lives: first with a key of its own, then behind Holdfast with the recovery key above. */
async function live(
  world: World,
  { count, recovery }: { count: number; recovery: string },
  steps: Steps,
) {
  const plain = { ...world.kept, PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX: world.lostHex }
  const early = await world.startPds(plain)
  const port = Number(new URL(early.url).port)
  const few = Math.max(2, Math.floor(count / 20))
  const first = await steps.run(
    'accounts are made before there is a recovery key',
    async () => await makeEarly(early, few),
  )
  const adopted = await steps.run(
    'the PDS moves behind Holdfast',
    async () => await adoptPds(world, { name: 'first', pdsUrl: early.url, recovery }),
  )
  await early.stop()
  const pds = await world.startPds(adopted.env, port)
  const userKey = (await openPrivateKey('K-256', randomSecret('K-256'))).did
  const { lost } = world
  const others = await steps.run(
    'accounts are made, handles changed, sign-ups fail',
    async () =>
      await makeOthers(pds, count - few, { plc: world.stack.plc, lost, recovery, userKey }),
    (made) => `${made.length + few} accounts`,
  )
  return { members: [...first, ...others], pds, port, holdfast: adopted.holdfast }
}

async function newDeployment(world: World, recovery: string, steps: Steps) {
  return await steps.run('a new deployment begins, with a new key', async () => {
    const started = await world.startHoldfast('second')
    await started.stop()
    const dataDir = world.dataDir('second')
    await addToPolicies(dataDir, 'keys.yaml', recoveryItem(recovery))
    const online = onlineAt(dataDir, world.stack.plc.url)
    const { out } = await online(['keys', 'list', '--json'])
    const keys = JSON.parse(out) as { id: string; did: string }[]
    const replacement = keys.find(({ id }) => id === 'pds')?.did
    if (replacement === undefined) throw new Error('the new deployment has no key')
    return { online, replacement }
  })
}

async function afterwards(
  world: World,
  { members, port }: { members: readonly Member[]; port: number; before: Before },
  steps: Steps,
): Promise<void> {
  await steps.run(
    'the PDS starts with its new key; users log in, post and change their handles',
    async () => {
      const holdfast = await world.startHoldfast('second')
      const pds = await world.startPds({ ...world.kept, ...holdfast.pdsEnv }, port)
      return await liveOn(pds, members, LIVING)
    },
    (living) => `${living} accounts`,
  )
}

function countKinds(members: readonly Member[]): Readonly<Partial<Record<Kind, number>>> {
  const counts: Partial<Record<Kind, number>> = {}
  for (const { kind } of members) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
