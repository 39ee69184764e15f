// A service with one key, in a process of its own that a test can kill. Told what to open by its first
// message; says each state of the token, its child's pid, and what became of each `sign`.
import { createPkcs11Backend } from '../../../src/signer/pkcs11/backend.ts'
import type { Pkcs11Options } from '../../../src/signer/pkcs11/backend.ts'
import type { KeyConfig } from '../../../src/policy/policy-set.ts'
import type { Signer } from '../../../src/signer/signer.ts'
import { ask } from './ask.ts'

export type ServiceOrder =
  | { kind: 'open'; key: KeyConfig; options: Pkcs11Options }
  | { kind: 'sign' }
  | { kind: 'close' }
export type ServiceNews =
  | { kind: 'opened'; state: string; message: string; child: number | undefined }
  | { kind: 'refused'; message: string }
  | { kind: 'answer'; answer: string }

let backend: ReturnType<typeof createPkcs11Backend> | null = null
let opened: { signer: Signer; key: KeyConfig } | null = null

const say = (news: ServiceNews) => process.send?.(news)

process.on('message', (message) => {
  void obey(message as ServiceOrder)
})

async function obey(order: ServiceOrder): Promise<void> {
  switch (order.kind) {
    case 'open':
      backend = createPkcs11Backend(order.options)
      return await open(backend, order.key)
    case 'sign':
      if (opened !== null) {
        say({ kind: 'answer', answer: await ask(opened.signer, opened.key) })
      }
      return
    case 'close':
      await backend?.close()
      return process.disconnect()
  }
}

async function open(from: NonNullable<typeof backend>, key: KeyConfig): Promise<void> {
  try {
    opened = { signer: await from.openSigner(key, key.uri ?? ''), key }
    const { kind, message } = from.health()[0]?.state ?? { kind: 'none', message: '' }
    say({ kind: 'opened', state: kind, message, child: from.childPids()[0] })
  } catch (error) {
    say({ kind: 'refused', message: String(error) })
  }
}
