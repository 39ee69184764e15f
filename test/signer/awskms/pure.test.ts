import { describe, expect, test } from 'vitest'
import type { KeyDescription } from '../../../src/signer/awskms/client.ts'
import { KmsFault, faultOf } from '../../../src/signer/awskms/fault.ts'
import { problemOf } from '../../../src/signer/awskms/key-check.ts'
import { createKeyStates } from '../../../src/signer/awskms/key-state.ts'
import { pauseBefore } from '../../../src/signer/awskms/limits.ts'
import { createPace } from '../../../src/signer/awskms/pace.ts'
import { tryUntil } from '../../../src/signer/awskms/tries.ts'
import { spkiOf } from '../../../src/ecdsa/spki.ts'
import { dids } from '../../policy/cases.ts'

const thrown = (name: string, httpStatusCode?: number, code?: string) =>
  Object.assign(new Error(`the words of ${name}`), {
    name,
    code,
    $metadata: { httpStatusCode, requestId: 'call-1' },
  })

describe('what the SDK throws', () => {
  test.each([
    ['throttled', thrown('ThrottlingException', 400)],
    ['throttled', thrown('LimitExceededException', 400)],
    ['throttled', thrown('Whatever', 429)],
    ['away', thrown('KeyUnavailableException', 500)],
    ['away', thrown('Error', undefined, 'ECONNREFUSED')],
    ['away', thrown('Error', undefined, 'ENOTFOUND')],
    ['away', thrown('CredentialsProviderError')],
    ['lost', thrown('KMSInternalException', 500)],
    ['lost', thrown('DependencyTimeoutException', 503)],
    ['lost', thrown('UnknownError', 502)],
    ['lost', thrown('TimeoutError', undefined, 'ETIMEDOUT')],
    ['lost', thrown('AbortError')],
    ['lost', thrown('Error', undefined, 'ECONNRESET')],
    ['lost', thrown('SyntaxError', 200)],
    ['lost', 'not even an error'],
    ['final', thrown('AccessDeniedException', 400)],
    ['final', thrown('DisabledException', 400)],
    ['final', thrown('NotFoundException', 400)],
    ['final', thrown('KMSInvalidStateException', 400)],
    ['final', thrown('InvalidKeyUsageException', 400)],
    ['final', thrown('UnrecognizedClientException', 400)],
    ['final', thrown('InvalidSignatureException', 403)],
  ])('is %s: %s', (kind, error) => {
    expect(faultOf(error)).toMatchObject({ kind })
  })

  test('names the call at AWS, and is cut where a stranger talks too much', () => {
    const error = thrown('NotFoundException', 400)
    error.message = 'x'.repeat(10_000)
    const { message } = faultOf(error)
    expect(message).toContain('request call-1 at AWS')
    expect(message.length).toBeLessThan(400)
  })
})

describe('a key as AWS KMS describes it', () => {
  const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
  const key = { curve: 'K-256', did: dids.online } as const
  const good: KeyDescription = {
    arn: ARN,
    spec: 'ECC_SECG_P256K1',
    usage: 'SIGN_VERIFY',
    state: 'Enabled',
    origin: 'AWS_KMS',
    multiRegion: false,
    spki: spkiOf(dids.online),
  }

  test('is what is pinned', () => {
    expect(problemOf(key, ARN, good)).toBeNull()
  })

  test.each<[string, Partial<KeyDescription>, string]>([
    ['of another curve', { spec: 'ECC_NIST_P256' }, 'unfit'],
    ['of another spec', { spec: 'RSA_2048' }, 'unfit'],
    ['for another usage', { usage: 'KEY_AGREEMENT' }, 'unfit'],
    ['disabled', { state: 'Disabled' }, 'unfit'],
    ['pending deletion', { state: 'PendingDeletion' }, 'unfit'],
    ['pending import', { state: 'PendingImport' }, 'unfit'],
    ['without a state', { state: null }, 'unfit'],
    ['another one', { spki: spkiOf(dids.recovery) }, 'other-key'],
    ['without a public key', { spki: new Uint8Array() }, 'other-key'],
    ['under another ARN', { arn: `${ARN}x` }, 'other-key'],
  ])('is refused when it is %s', (_what, change, kind) => {
    expect(problemOf(key, ARN, { ...good, ...change })).toMatchObject({ kind })
  })
})

describe('the state of a key', () => {
  const states = () => {
    const seen: string[] = []
    return Object.assign(
      createKeyStates(({ kind }) => void seen.push(kind)),
      { seen },
    )
  }

  test('is unchecked until a look; what is away or unfit is ready again by itself', () => {
    const key = states()
    expect(key.current().kind).toBe('unchecked')
    key.looksRight()
    key.failed('away', 'no answer')
    key.signed()
    key.failed('unfit', 'AccessDenied')
    key.looksRight()
    expect(key.seen).toEqual(['ready', 'away', 'ready', 'unfit', 'ready'])
  })

  test('stays distrusted whatever is still under way, until a look finds the pinned key', () => {
    const key = states()
    key.looksRight()
    key.signedWrongly('no signature of it')
    key.signed()
    key.failed('away', 'no answer')
    expect(key.current().kind).toBe('distrusted')
    key.looksRight()
    expect(key.current().kind).toBe('ready')
  })

  test('after three bad signatures in a row no look helps; a good one in between does', () => {
    const key = states()
    for (const good of [true, false, false, false]) {
      key.looksRight()
      if (good) key.signed()
      else key.signedWrongly('no signature of it')
    }
    key.looksRight()
    expect(key.current()).toMatchObject({ kind: 'distrusted', message: /restart/ })
    const other = states()
    for (let n = 0; n < 6; n += 1) {
      other.looksRight()
      other.signedWrongly('no signature of it')
      other.looksRight()
      other.signed()
    }
    expect(other.current().kind).toBe('ready')
  })
})

describe('the pace', () => {
  test('lets a tenth of a second’s calls go at once, then one by one', async () => {
    let now = 0
    const pace = createPace({ perSecond: 100, places: 1_000 }, () => now)
    const gone = []
    for (let n = 0; n < 60; n += 1) {
      // Without patience a turn that is not now is not taken.
      gone.push(
        await pace.enter(0).then(
          () => now,
          () => null,
        ),
      )
      now += n < 30 ? 0 : 5
    }
    const count = (list: (number | null)[]) => list.filter((at) => at !== null).length
    expect(count(gone.slice(0, 30))).toBe(11)
    expect(count(gone.slice(30))).toBeGreaterThan(12)
    expect(count(gone.slice(30))).toBeLessThan(18)
  })

  test('says at once that a turn would come too late, and takes none from the others', async () => {
    const pace = createPace({ perSecond: 1, places: 10 }, () => 0)
    await pace.enter(0)
    for (let n = 0; n < 5; n += 1) {
      await expect(pace.enter(899)).rejects.toMatchObject({ kind: 'throttled' })
    }
    await expect(pace.enter(900)).resolves.toBeTypeOf('function')
  })

  test('bounds the calls under way; a place that is left goes to who waits longest', async () => {
    const pace = createPace({ perSecond: 10_000, places: 2 })
    const leave = [await pace.enter(0), await pace.enter(0)]
    await expect(pace.enter(20)).rejects.toMatchObject({ kind: 'throttled' })
    const order: number[] = []
    const waiting = [1, 2].map(async (n) => {
      const left = await pace.enter(1_000)
      order.push(n)
      left()
    })
    leave[0]?.()
    await Promise.all(waiting)
    expect(order).toEqual([1, 2])
  })
})

describe('tries', () => {
  const NEVER = new AbortController().signal
  const run = async (kinds: KmsFault['kind'][], ms = 400) => {
    const reported: string[] = []
    let tries = 0
    const tried = tryUntil(
      {
        until: performance.now() + ms,
        signal: NEVER,
        report: ({ kind }) => void reported.push(kind),
      },
      async () => {
        const kind = kinds[tries]
        tries += 1
        if (kind !== undefined) throw new KmsFault(kind, 'as the test says')
        return 'signed'
      },
    )
    return { outcome: await tried.catch((error: { code: string }) => error.code), reported }
  }

  test('go on while trying again helps', async () => {
    expect(await run(['throttled', 'away', 'lost'], 5_000)).toEqual({
      outcome: 'signed',
      reported: ['throttled', 'away', 'lost'],
    })
  })

  test('end at the first that is final', async () => {
    expect(await run(['throttled', 'final'])).toMatchObject({
      outcome: 'key-unusable',
      reported: ['throttled', 'final'],
    })
  })

  test.each<[KmsFault['kind'][], string]>([
    [Array.from({ length: 50 }, () => 'throttled' as const), 'unavailable'],
    [['away', ...Array.from({ length: 50 }, () => 'throttled' as const)], 'unavailable'],
    // One of them may have used the key, and nobody knows.
    [['lost', ...Array.from({ length: 50 }, () => 'throttled' as const)], 'timeout'],
  ])('that used up their time end as what is known: %#', async (kinds, code) => {
    expect((await run(kinds)).outcome).toBe(code)
  })

  test('pause longer each time, up to 0.8 s, and never all at the same moment', () => {
    expect([1, 2, 3, 4, 5, 6, 60].map((tries) => pauseBefore(tries, 1))).toEqual([
      50, 100, 200, 400, 800, 800, 800,
    ])
    expect(pauseBefore(3, 0)).toBe(100)
  })
})
