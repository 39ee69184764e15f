import { join } from 'node:path'
import { Secp256k1Keypair } from '@atproto/crypto'
import * as plc from '@did-plc/lib'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import type { HoldfastClient } from '../../src/client/client.ts'
import { genesisOf, renamed } from '../support/operations.ts'
import { startHoldfast } from './support/holdfast.ts'
import type { Holdfast } from './support/holdfast.ts'
import { assertSoundLog, readAuditLog } from './support/oracle.ts'
import { startStack } from './support/stack.ts'
import type { Stack } from './support/stack.ts'

// The JSON API with the real PLC server behind it, whose answers are the ones that have to be told apart.

let stack: Stack
let holdfast: Holdfast
let client: HoldfastClient
let keyDid: string

beforeAll(async () => {
  stack = await startStack()
  holdfast = await startHoldfast({
    dataDir: join(stack.dir, 'holdfast'),
    plcUrl: stack.plc.url,
    logFile: join(stack.dir, 'holdfast.log'),
  })
  stack.atEnd(() => holdfast.stop())
  client = createClient({
    url: holdfast.url,
    credential: {
      accessKeyId: holdfast.pdsEnv['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: holdfast.pdsEnv['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  })
  const { keys } = await client.keys()
  keyDid = keys[0]?.did ?? ''
})

afterAll(() => stack.stop())

async function submitted(operation: Parameters<HoldfastClient['propose']>[0]) {
  const { id } = await client.propose(operation)
  await client.sign(id)
  return await client.submit(id)
}

it('an account is made and renamed, each step seen in the directory’s own log', async () => {
  const made = await submitted({ key: 'pds', operation: genesisOf('alice', [keyDid]) })
  expect(made).toMatchObject({ state: 'confirmed', submission: { outcome: 'accepted' } })
  const base = { did: made.did!, cid: made.cid!, operation: made.signedOperation! }
  const update = await submitted({ key: 'pds', operation: renamed(base, 'alice-renamed') })
  expect(update).toMatchObject({ state: 'confirmed', did: made.did })

  const log = await readAuditLog(stack.plc.url, base.did)
  expect(log.map(({ cid }) => cid)).toEqual([made.cid, update.cid])
  await assertSoundLog(base.did, log)
  // Again: the log has it, so nothing is sent.
  expect(await client.submit(update.id)).toEqual(update)
})

it('what the user submitted first is stale, and never sent', async () => {
  const user = await Secp256k1Keypair.create()
  const made = await submitted({ key: 'pds', operation: genesisOf('bob', [user.did(), keyDid]) })
  const base = { did: made.did!, cid: made.cid!, operation: made.signedOperation! }
  const { id } = await client.propose({ key: 'pds', operation: renamed(base, 'bob-ours') })
  await client.sign(id)
  await new plc.Client(stack.plc.url).updateHandle(base.did, user, 'bob-theirs.example.com')
  await expect(client.submit(id)).rejects.toMatchObject({ code: 'stale' })
  expect(await readAuditLog(stack.plc.url, base.did)).toHaveLength(2)
})

it('@did-plc/lib changes a handle with a keypair whose private half it never sees', async () => {
  const signer = await client.keypair('pds')
  const directory = new plc.Client(stack.plc.url)
  const signingKey = (await Secp256k1Keypair.create()).did()
  const handles = { handle: 'carol.example.com', pds: 'https://pds.example.com' }
  const did = await directory.createDid({
    ...handles,
    signingKey,
    rotationKeys: [signer.did()],
    signer,
  })
  await directory.updateHandle(did, signer, 'carol-renamed.example.com')
  const log = await readAuditLog(stack.plc.url, did)
  await assertSoundLog(did, log)
  expect(log.at(-1)?.operation).toMatchObject({ alsoKnownAs: ['at://carol-renamed.example.com'] })
})
