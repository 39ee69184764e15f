import { randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withItem } from '../../src/development.ts'
import { openPrivateKey, randomSecret } from '../../src/ecdsa/private-key.ts'
import type { PrivateKey } from '../../src/ecdsa/private-key.ts'
import { openCustodians } from '../../test/support/custodians.ts'
import type { CustodiansHome } from '../../test/support/custodians.ts'
import { startHoldfast } from '../../test/e2e/support/holdfast.ts'
import type { Holdfast } from '../../test/e2e/support/holdfast.ts'
import type { Pds } from '../../test/e2e/support/pds.ts'
import { startStack } from '../../test/e2e/support/stack.ts'
import type { Stack } from '../../test/e2e/support/stack.ts'
import { onlineAt } from './programs.ts'

/** A directory, a PDS and a room for the ceremony, all of the drill's own: nothing of the deployment's is near. */
export type World = {
  readonly stack: Stack
  /** Where custodians and operators keep what is theirs. */
  readonly room: CustodiansHome
  /** The key that will be lost. The drill alone has it elsewhere, to play users and attackers with it. */
  readonly lost: PrivateKey
  readonly lostHex: string
  /** What an operator keeps in the environment of the PDS whatever holds the rotation key. */
  readonly kept: Readonly<Record<string, string>>
  startPds(env: Readonly<Record<string, string>>, port?: number): Promise<Pds>
  /** A deployment of Holdfast with a data directory of that name. */
  startHoldfast(name: string): Promise<Holdfast>
  dataDir(name: string): string
  /** Copies what the programs have logged to a folder that stays. @returns its path */
  keepLogs(): Promise<string>
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const stack = await startStack()
  const room = await openCustodians(3)
  const secret = randomSecret('K-256')
  const dataDir = (name: string) => join(stack.dir, name)
  let starts = 0
  return {
    stack,
    room,
    lost: await openPrivateKey('K-256', secret),
    lostHex: Buffer.from(secret).toString('hex'),
    kept: {
      PDS_JWT_SECRET: randomBytes(16).toString('hex'),
      PDS_DPOP_SECRET: randomBytes(32).toString('hex'),
      PDS_ADMIN_PASSWORD: randomBytes(16).toString('hex'),
    },
    startPds: async (env, port) =>
      await stack.startPds({ ...env }, port === undefined ? {} : { port }),
    startHoldfast: async (name) => {
      starts += 1
      const holdfast = await startHoldfast({
        dataDir: dataDir(name),
        plcUrl: stack.plc.url,
        logFile: join(stack.dir, `${name}-${starts}.log`),
      })
      stack.atEnd(() => holdfast.stop())
      return holdfast
    },
    dataDir,
    keepLogs: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'holdfast-drill-'))
      const logs = (await readdir(stack.dir)).filter((name) => name.endsWith('.log'))
      for (const name of logs) await copyFile(join(stack.dir, name), join(folder, name))
      await copyFile(join(stack.dir, 'pds', 'pds.log'), join(folder, 'pds.log')).catch(() => {})
      return folder
    },
    close: async () => {
      await stack.stop()
      await room.close()
    },
  }
}

/** Adds an item to one of a development deployment's policy files. */
export async function addToPolicies(
  dataDir: string,
  file: 'keys.yaml' | 'callers.yaml',
  item: object,
): Promise<void> {
  const path = join(dataDir, 'policies', file)
  await writeFile(path, withItem(await readFile(path, 'utf8'), item))
}

/**
 * The first half of a deployment's life: the PDS's own key is taken in, the PDS becomes a caller, and the
 * recovery key is pinned.
 * @returns the environment of the PDS from then on
 */
export async function adoptPds(
  world: World,
  { name, pdsUrl, recovery }: { name: string; pdsUrl: string; recovery: string },
): Promise<{ readonly holdfast: Holdfast; readonly env: Record<string, string> }> {
  const { stack, kept, lostHex } = world
  const dataDir = world.dataDir(name)
  const first = await world.startHoldfast(name)
  const online = onlineAt(dataDir, stack.plc.url)
  const imported = await online(['keys', 'import', 'lost', '--from', '-', '--json'], lostHex)
  const line = JSON.parse(imported.out) as object
  await addToPolicies(dataDir, 'keys.yaml', { ...line, class: 'online' })
  await addToPolicies(dataDir, 'keys.yaml', recoveryItem(recovery))
  const added = await online([
    'callers',
    'add',
    'stock-pds',
    '--key',
    'lost',
    '--pds',
    pdsUrl,
    '--json',
  ])
  const { accessKeyId, secretAccessKey } = JSON.parse(added.out) as Record<string, string>
  await first.stop()
  const holdfast = await world.startHoldfast(name)
  const env = {
    ...kept,
    PDS_PLC_ROTATION_KEY_KMS_KEY_ID: 'lost',
    PDS_RECOVERY_DID_KEY: recovery,
    AWS_ENDPOINT_URL_KMS: `${holdfast.url}/kms`,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: accessKeyId ?? '',
    AWS_SECRET_ACCESS_KEY: secretAccessKey ?? '',
  }
  return { holdfast, env }
}

export const recoveryItem = (did: string) => ({
  id: 'recovery',
  class: 'recovery',
  curve: 'K-256',
  did,
})
