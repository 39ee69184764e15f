import { afterAll, onTestFinished } from 'vitest'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { createPkcs11Backend } from '../../../src/signer/pkcs11/backend.ts'
import type { Pkcs11Limits } from '../../../src/signer/pkcs11/limits.ts'
import { openSoftHsm } from '../../support/softhsm.ts'
import type { SoftHsm } from '../../support/softhsm.ts'

export type Bench = Awaited<ReturnType<typeof openBench>>

type Template = { readonly hsm: SoftHsm; readonly k: string; readonly p: string }
let template: Promise<Template> | null = null

afterAll(async () => {
  await (await template)?.hsm.close()
})

async function makeTemplate(): Promise<Template> {
  const hsm = await openSoftHsm()
  return { hsm, k: await hsm.makeKey('k', 'K-256'), p: await hsm.makeKey('p', 'P-256') }
}

/**
 * A SoftHSM2 behind the shim with a K-256 key `k` and a P-256 key `p`, removed after the test. Copied
 * from one that each file makes once.
 */
export async function openBench() {
  template ??= makeTemplate()
  const made = await template
  const hsm = await openSoftHsm(made.hsm)
  onTestFinished(hsm.close)
  const k = configOf(hsm, { id: 'k', curve: 'K-256', did: made.k })
  const p = configOf(hsm, { id: 'p', curve: 'P-256', did: made.p })

  function open(limits: Partial<Pkcs11Limits> = {}) {
    const states: string[] = []
    const backend = createPkcs11Backend({
      latchDir: hsm.latchDir,
      environment: hsm.environment,
      pinFile: null,
      limits,
      report: (_token, state) => states.push(state.kind),
    })
    onTestFinished(async () => await backend.close())
    return {
      ...backend,
      openSigner: async (key: KeyConfig) => await backend.openSigner(key, key.uri ?? ''),
      states,
    }
  }

  return { ...hsm, hsm, k, p, open }
}

function configOf(hsm: SoftHsm, key: Pick<KeyConfig, 'id' | 'curve' | 'did'>): KeyConfig {
  return { ...key, class: 'online', uri: hsm.uri(`object=${key.id}`), development: false }
}

export async function until(isSo: () => boolean | Promise<boolean>, ms = 5_000): Promise<number> {
  const start = performance.now()
  while (!(await isSo())) {
    if (performance.now() - start > ms) throw new Error(`not so after ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - start
}
