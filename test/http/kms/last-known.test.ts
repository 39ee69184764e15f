import { expect, it } from 'vitest'
import { createLastKnown } from '../../../src/http/kms/last-known.ts'
import { findCredential, pdsCredential } from '../door-deps.ts'

it('keeps the newest credentials and no more than its limit', async () => {
  const known = createLastKnown(findCredential, [], 2)
  for (const accessKeyId of ['A', 'B', 'A', 'C']) known.remember({ ...pdsCredential, accessKeyId })
  const recalled = await Promise.all(['A', 'B', 'C'].map(known.recall))
  expect(recalled.map((credential) => credential?.accessKeyId)).toEqual(['A', undefined, 'C'])
})
