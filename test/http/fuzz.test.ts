import { expect, it } from 'vitest'
import { createApp } from '../../src/http/app.ts'
import { listen } from '../../src/http/server.ts'
import { fuzzDoor } from '../support/generate-requests.ts'
import { doorDeps, pds, requestView } from './door-deps.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

it(`5,000 generated requests crash nothing and meet no 5xx (FUZZ_SEED=${seed})`, async () => {
  const { deps, lines } = doorDeps({ listRequests: async () => [requestView(1)] })
  const server = await listen(createApp(deps), { host: '127.0.0.1', port: 0 })
  const message = (): Uint8Array => Buffer.from('an unsigned operation')
  const { url } = server
  const report = await fuzzDoor({ url, seed, count: 5_000, key: pds, keyId: 'pds', message })
  await server.close()

  expect(report.failures).toEqual([])
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  // Else the generator spoils everything, and nothing behind the signature is reached.
  expect(report.statuses.get(200)).toBeGreaterThan(1_000)
  expect(report.statuses.get(400)).toBeGreaterThan(1_000)
})
