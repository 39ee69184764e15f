import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { toConfig } from '../../src/config.ts'
import { openSealer, prepareDataDir } from '../../src/data-dir.ts'
import { openPolicies } from '../../src/development.ts'
import { kmsCaller } from '../support/kms-caller.ts'
import { genesisOf } from '../support/operations.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { startServiceProcess } from '../support/service-process.ts'

test('an alarm in the log of the real service reaches the webhook that notify.yaml names', async () => {
  const told = Promise.withResolvers<string>()
  const receiver = createServer((request, response) => {
    const answer = async () => {
      told.resolve(await text(request))
      response.writeHead(204).end()
    }
    void answer()
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void receiver.close())
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`
  const { service, keyDid } = await startWith(url)

  // The first account is half of the limit, and that is an alarm.
  const kms = kmsCaller(service.url, service.credential)
  onTestFinished(() => kms.close())
  expect(await kms.sign(genesisOf('alarm', [keyDid]))).not.toHaveProperty('code')
  expect(JSON.parse(await told.promise)).toMatchObject({
    v: 1,
    env: 'dev',
    kind: 'alarm',
    event: 'limit-alarm',
    detail: { rule: 'GENESIS', used: 1, count: 2 },
  })
})

async function startWith(url: string) {
  const database = await createTestDatabase()
  const dataDir = await mkdtemp(join(tmpdir(), 'holdfast-told-'))
  const config = toConfig({ HOLDFAST_DATA_DIR: dataDir }, dataDir)
  await prepareDataDir(config)
  const { dir, policies } = await openPolicies(config, await openSealer(config))
  const file = join(dir, 'policy.yaml')
  const limited = 'diff: any }, require: none, limits: { global: 2/1h } }'
  const policy = await readFile(file, 'utf8')
  await writeFile(file, policy.replace('diff: any }, require: none }', limited))
  await writeFile(
    join(dir, 'notify.yaml'),
    `notify: holdfast/notify/v1\nwebhooks:\n  - { id: ops, url: "${url}" }\n`,
  )
  const secret = join(dataDir, 'webhook-secret')
  await writeFile(secret, randomBytes(32), { mode: 0o600 })
  const service = await startServiceProcess({
    dataDir,
    databaseUrl: database.url,
    plcUrl: 'http://127.0.0.1:1',
    environment: { HOLDFAST_WEBHOOK_SECRET_FILE: secret },
  })
  onTestFinished(async () => {
    await service.stop()
    await database.drop()
    await rm(dataDir, { recursive: true })
  })
  if (service.credential === null) throw new Error('a first start prints a credential')
  const { credential } = service
  return { service: { ...service, credential }, keyDid: policies.keys[0]?.did ?? '' }
}
