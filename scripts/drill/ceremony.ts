import { writeFile } from 'node:fs/promises'
import { openBundle } from '../../src/bundle/open.ts'
import { intentDigest } from '../../src/recovery/intent.ts'
import type { Intent } from '../../src/recovery/intent.ts'
import { digestWords } from '../../src/words/words.ts'
import type { CustodiansHome } from '../../test/support/custodians.ts'
import type { Offline } from './programs.ts'

/** 2 of 3 custodians bring their shares. */
const SHARES = ['anna', 'cleo'] as const

/** Makes the recovery key of the drill: a rehearsal's, whose signatures are nothing in earnest. */
export async function makeRecoveryKey(room: CustodiansHome, offline: Offline): Promise<string> {
  const split = ['--threshold', '2', '--custodians', room.custodians, '--out', 'recovery']
  const { out } = await offline(['keygen', '--env', 'rehearsal', ...split])
  const did = /PDS_RECOVERY_DID_KEY=(\S+)/.exec(out)?.[1]
  if (did === undefined) throw new Error('keygen printed no PDS_RECOVERY_DID_KEY')
  return did
}

export type Ceremony = {
  readonly intent: Intent
  /** What the operators wrote down, for `recovery import`. */
  readonly words: string
}

/**
 * What happens in the room: the bundle is looked at, the words of the plan are typed, two custodians open
 * their shares, and the result is verified by itself.
 */
export async function holdCeremony(
  room: CustodiansHome,
  offline: Offline,
  { bundle, result }: { bundle: string; result: string },
): Promise<Ceremony> {
  const { intent } = await openBundle(room.path(bundle))
  const card = `${bundle}.yaml`
  await writeFile(room.path(card), renderCard(intent))
  const trust = ['--trust', card]
  await offline(['inspect', ...trust, bundle])
  const shares = SHARES.flatMap((id) => [
    '--share',
    room.share(id, 'recovery'),
    '--identity',
    room.identity(id),
  ])
  const key = ['--record', 'recovery/recovery-key.json', ...shares]
  const planned = wordsOf(intentDigest(intent))
  await offline(['sign', ...trust, ...key, '--out', result, bundle], `${planned}\n`)
  const verified = await offline(['verify', ...trust, '--json', bundle, result])
  const { result: digest } = JSON.parse(verified.out) as { result: string }
  return { intent, words: wordsOf(Buffer.from(digest, 'hex')) }
}

const wordsOf = (digest: Uint8Array) => digestWords(digest, 8).join(' ')

/** In earnest it comes from a safe; the drill has nothing older than itself to trust. */
function renderCard({ env, recovery, policies }: Intent): string {
  return [
    'trust: holdfast/trust/v1',
    `policies: [${policies}]`,
    `ceremony: { env: ${env}, recovery: '${recovery}' }`,
    '',
  ].join('\n')
}
