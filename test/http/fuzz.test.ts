import { expect, it } from 'vitest'
import type { SignNow } from '../../src/custody/sign-now.ts'
import { createApp } from '../../src/http/app.ts'
import { listen } from '../../src/http/server.ts'
import { decodeUnsignedOperation } from '../../src/plc/encode.ts'
import { PlcError } from '../../src/plc/error.ts'
import { fuzzDoor } from '../support/generate-requests.ts'
import { doorDeps, pds, requestView, signing } from './door-deps.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

const signingOperations: SignNow = async (input) => {
  try {
    decodeUnsignedOperation(input.message)
    return await signing(input)
  } catch (error) {
    if (!(error instanceof PlcError)) throw error
    return { kind: 'malformed', message: error.message }
  }
}

it(`5,000 generated requests crash nothing and meet no 5xx (FUZZ_SEED=${seed})`, async () => {
  const { deps, lines } = doorDeps({
    listRequests: async () => [requestView(1)],
    signNow: signingOperations,
  })
  const server = await listen(createApp(deps), { host: '127.0.0.1', port: 0 })
  const report = await fuzzDoor({ url: server.url, seed, count: 5_000, key: pds, keyId: 'pds' })
  await server.close()

  expect(report.failures).toEqual([])
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  // Else the generator spoils everything, and nothing behind the signature is reached.
  expect(report.statuses.get(200)).toBeGreaterThan(500)
  expect(report.statuses.get(400)).toBeGreaterThan(1_000)
})
