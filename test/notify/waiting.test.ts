import { afterAll, beforeAll, expect, test } from 'vitest'
import { deliver } from '../../src/notify/deliver.ts'
import type { DeliverDeps } from '../../src/notify/deliver.ts'
import { createNoticeStore } from '../../src/store/notices.ts'
import { movedTo, openApproving } from '../support/approving.ts'
import type { Approving } from '../support/approving.ts'
import { idOf } from '../support/custody.ts'

let approving: Approving
let bodies: string[]
let deps: DeliverDeps

beforeAll(async () => {
  approving = await openApproving()
  bodies = []
  deps = {
    store: createNoticeStore(approving.custody.db),
    env: 'dev',
    webhooks: [{ id: 'ops', url: 'http://127.0.0.1/hook' }],
    persons: [],
    // The receiver itself is in `deliver.test.ts`.
    sendWebhook: async (_url, body) => void bodies.push(body),
    sendMail: null,
    report: ({ error }) => {
      throw error
    },
  }
})
afterAll(async () => await approving.custody.close())

test('a request that waits for officers is told once; one that is signed at once never', async () => {
  const account = await approving.custody.account('told')
  await deliver(deps)
  expect(bodies).toEqual([])

  const id = idOf(await approving.custody.sign(movedTo(account, 'new')))
  await deliver(deps)
  await approving.custody.sign(movedTo(account, 'new'))
  await deliver(deps)
  expect(bodies).toHaveLength(1)
  expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
    kind: 'approval-wanted',
    subject: id,
    detail: { rules: 'MOVE', class: 'update', did: account.did },
  })
})
