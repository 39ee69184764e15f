import {
  checkKmsKey,
  createKmsKey,
  importKmsKey,
  listKmsKeys,
  proveKmsKey,
} from '../../../src/signer/awskms/admin.ts'
import { parseAwsKmsPlace, parseAwsKmsUri } from '../../../src/signer/awskms/uri.ts'
import { SignerError } from '../../../src/signer/signer.ts'
import type { PlaceKind } from './place-kind.ts'

/** AWS KMS, with the credentials of whoever runs the command: those of the service make nothing. */
export const kmsPlace: PlaceKind = {
  scheme: 'awskms',
  option: 'kms',
  create: async (_ground, uri, { name, curve }) => {
    const made = await createKmsKey(parseAwsKmsPlace(uri), { name, curve })
    return made ?? { there: `alias/holdfast-${name}` }
  },
  import: async (_ground, uri, key) => {
    const made = await importKmsKey(parseAwsKmsPlace(uri), key)
    return made ?? { there: `alias/holdfast-${key.name}` }
  },
  list: async (_ground, uri) => await listKmsKeys(parseAwsKmsPlace(uri)),
  look: async (_ground, key, uri) => {
    const { problems } = await reportOn(uri, key)
    return problems[0] ?? 'ready'
  },
  prove: async (_ground, { curve }, uri, challenge) =>
    await proveKmsKey(parseAwsKmsUri(uri), curve, challenge),
  check: async (_ground, key, uri) => ({
    ...(await reportOn(uri, key)),
    readers: [
      'the private half: nobody, as AWS says',
      'its use: whoever the key policy and IAM allow kms:Sign, and whoever may change either',
    ],
  }),
}

async function reportOn(uri: string, key: Parameters<typeof checkKmsKey>[1]) {
  try {
    return await checkKmsKey(parseAwsKmsUri(uri), key)
  } catch (error) {
    if (!(error instanceof SignerError)) throw error
    return { problems: [error.message], remarks: [] }
  }
}
