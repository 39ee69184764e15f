// The token's own rate: C_SignInit and C_Sign on one to eight sessions at once, and nothing else.
import { randomBytes } from 'node:crypto'
import { CKO_PRIVATE_KEY, findObjects } from '../../src/signer/pkcs11/find-key.ts'
import { findToken, login, openModule } from '../../src/signer/pkcs11/module.ts'

export type RawJob = {
  readonly modulePath: string
  readonly token: string
  readonly label: string
  readonly pin: string
  /** Signatures for each concurrency. */
  readonly count: number
}

const CKM_ECDSA = 0x1041
const CKF_SERIAL_SESSION = 0x4

process.once('message', (job: RawJob) => {
  void measure(job).then((rates) => process.send?.(rates, () => process.exit(0)))
})

async function measure(job: RawJob): Promise<Record<string, number>> {
  const module = openModule(job.modulePath)
  const match = { label: job.token, serial: null, manufacturer: null, model: null }
  const { slot } = findToken(module, match)
  const sessions = Array.from({ length: 8 }, () => module.C_OpenSession(slot, CKF_SERIAL_SESSION))
  const [first] = sessions
  if (first === undefined) throw new TypeError('eight sessions')
  login(module, first, Buffer.from(job.pin))
  const named = { kind: CKO_PRIVATE_KEY, match: { label: job.label, id: null } }
  const [key] = findObjects(module, first, named)
  if (key === undefined) throw new Error('the key is not there')
  const rates: Record<string, number> = {}
  for (const width of [1, 2, 4, 8]) {
    let next = 0
    const sign = async (session: (typeof sessions)[number]) => {
      for (let index = next++; index < job.count; index = next++) {
        module.C_SignInit(session, { mechanism: CKM_ECDSA }, key)
        await module.C_SignAsync(session, randomBytes(32), Buffer.alloc(64))
      }
    }
    const begun = performance.now()
    await Promise.all(sessions.slice(0, width).map(sign))
    rates[width] = Math.round(job.count / ((performance.now() - begun) / 1_000))
  }
  return rates
}
