import { onTestFinished } from 'vitest'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import { createPkcs11Backend } from '../../../src/signer/pkcs11/backend.ts'
import type { Pkcs11Limits } from '../../../src/signer/pkcs11/limits.ts'
import { openSoftHsm } from '../../support/softhsm.ts'
import type { SoftHsm } from '../../support/softhsm.ts'

export type Bench = Awaited<ReturnType<typeof openBench>>

/** A SoftHSM2 behind the shim with a K-256 key `k` and a P-256 key `p`, removed after the test. */
export async function openBench() {
  const hsm = await openSoftHsm()
  onTestFinished(hsm.close)
  const k: KeyConfig = await configOf(hsm, 'k', 'K-256')
  const p: KeyConfig = await configOf(hsm, 'p', 'P-256')

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
    return { ...backend, states }
  }

  return { ...hsm, hsm, k, p, open }
}

async function configOf(hsm: SoftHsm, label: string, curve: 'K-256' | 'P-256') {
  const did = await hsm.makeKey(label, curve)
  const uri = hsm.uri(`object=${label}`)
  return { id: label, class: 'online', curve, did, uri, development: false } as const
}

export async function until(isSo: () => boolean | Promise<boolean>, ms = 5_000): Promise<number> {
  const start = performance.now()
  while (!(await isSo())) {
    if (performance.now() - start > ms) throw new Error(`not so after ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - start
}
