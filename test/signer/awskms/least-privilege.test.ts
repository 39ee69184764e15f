import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { missingForKms } from '../../support/kms-emulator/emulator.ts'
import { ask } from '../pkcs11/ask.ts'
import { until } from '../pkcs11/harness.ts'
import { openBench } from './harness.ts'

const missing = missingForKms()

type Statement = { readonly Action: string | readonly string[]; readonly Condition?: object }

async function documentedPolicy(): Promise<readonly Statement[]> {
  const page = await readFile(new URL('../../../docs/keys-awskms.md', import.meta.url), 'utf8')
  const [, policy = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? []
  return (JSON.parse(policy) as { Statement: Statement[] }).Statement
}

// The emulator knows no condition keys of KMS, so what is compared is what goes over the wire.
describe.skipIf(missing !== null)(
  `the policy in the docs (needs ${missing ?? 'nothing more'})`,
  () => {
    test('allows what the service does, and nothing else', async () => {
      const bench = await openBench()
      const signer = await bench.open({ checkEveryMs: 20 }).openSigner(bench.k)
      expect(await ask(signer, bench.k)).toBe('signed')
      const looks = bench.proxy.calls.length
      await until(() => bench.proxy.calls.length > looks + 2)
      const used = new Set(bench.proxy.calls.map(({ action }) => `kms:${action}`))
      const allowed = (await documentedPolicy()).flatMap(({ Action: action }) => action)
      expect([...used].sort()).toEqual([...allowed].sort())
    })

    test('asks of a signature what the service sends', async () => {
      const bench = await openBench()
      const signer = await bench.open().openSigner(bench.k)
      expect(await ask(signer, bench.k)).toBe('signed')
      const sent = bench.proxy.bodies.find((body) => 'SigningAlgorithm' in body)
      const { SigningAlgorithm, MessageType } = sent ?? {}
      expect(await documentedPolicy()).toContainEqual(
        expect.objectContaining({
          Action: 'kms:Sign',
          Condition: {
            StringEquals: {
              'kms:SigningAlgorithm': SigningAlgorithm,
              'kms:MessageType': MessageType,
            },
          },
        }),
      )
    })
  },
)
