import { expect, it } from 'vitest'
import { createLastKnown } from '../../../src/http/kms/last-known.ts'
import { doorDeps, pdsCredential } from '../door-deps.ts'

it('keeps the newest credentials and no more than its limit', async () => {
  const { log } = doorDeps().deps
  const find = (): Promise<null> => Promise.reject(new Error('down'))
  const known = createLastKnown({ find, initial: [], limit: 2, log })
  for (const accessKeyId of ['A', 'B', 'A', 'C']) known.remember({ ...pdsCredential, accessKeyId })
  await expect(known.findOrLastKnown('A')).resolves.toMatchObject({ accessKeyId: 'A' })
  await expect(known.findOrLastKnown('C')).resolves.toMatchObject({ accessKeyId: 'C' })
  await expect(known.findOrLastKnown('B')).rejects.toThrow('down')
})
