import { describe, expect, test, vi } from 'vitest'
import { parseFromChild } from '../../../src/signer/pkcs11/child-message.ts'
import { classOf, nameOf } from '../../../src/signer/pkcs11/ckr.ts'
import { EC_PARAMS, curveOfParams, pointOf } from '../../../src/signer/pkcs11/ec-point.ts'
import { moduleEnvironment } from '../../../src/signer/pkcs11/environment.ts'
import { createJobs } from '../../../src/signer/pkcs11/jobs.ts'
import { restartDelay } from '../../../src/signer/pkcs11/limits.ts'
import type { Failure } from '../../../src/signer/pkcs11/protocol.ts'

describe('a return value', () => {
  test.each([
    [0xb3, 'reopen', 'CKR_SESSION_HANDLE_INVALID'],
    [0xb0, 'reopen', 'CKR_SESSION_CLOSED'],
    [0x101, 'reopen', 'CKR_USER_NOT_LOGGED_IN'],
    [0x82, 'reopen', 'CKR_OBJECT_HANDLE_INVALID'],
    [0x30, 'reinit', 'CKR_DEVICE_ERROR'],
    [0x32, 'reinit', 'CKR_DEVICE_REMOVED'],
    [0xe0, 'reinit', 'CKR_TOKEN_NOT_PRESENT'],
    [0x06, 'reinit', 'CKR_FUNCTION_FAILED'],
    [0x05, 'reinit', 'CKR_GENERAL_ERROR'],
    [0x190, 'reinit', 'CKR_CRYPTOKI_NOT_INITIALIZED'],
    [0xa0, 'latch', 'CKR_PIN_INCORRECT'],
    [0xa4, 'latch', 'CKR_PIN_LOCKED'],
    [0xa3, 'latch', 'CKR_PIN_EXPIRED'],
    [0x90, 'discard', 'CKR_OPERATION_ACTIVE'],
    [0x150, 'discard', 'CKR_BUFFER_TOO_SMALL'],
    [0xb1, 'busy', 'CKR_SESSION_COUNT'],
    [0x02, 'busy', 'CKR_HOST_MEMORY'],
    [0x31, 'busy', 'CKR_DEVICE_MEMORY'],
    [0x70, 'configuration', 'CKR_MECHANISM_INVALID'],
    [0x63, 'configuration', 'CKR_KEY_TYPE_INCONSISTENT'],
    [0x68, 'configuration', 'CKR_KEY_FUNCTION_NOT_PERMITTED'],
    [0x03, 'configuration', 'CKR_SLOT_ID_INVALID'],
    [0x12, 'configuration', 'CKR_ATTRIBUTE_TYPE_INVALID'],
    [0x80000001, 'reinit', 'CKR 0x80000001'],
  ])('0x%x is of class %s', (ckr, kind, name) => {
    expect(classOf(ckr)).toBe(kind)
    expect(nameOf(ckr)).toBe(name)
  })
})

describe('a public key point', () => {
  const point = Uint8Array.of(4, ...Array.from({ length: 64 }, (_, n) => n))

  test('is read in both encodings', () => {
    expect(pointOf(point)).toEqual(point)
    expect(pointOf(Uint8Array.of(4, 0x41, ...point))).toEqual(point)
  })

  test.each([
    ['compressed', Uint8Array.of(2, ...point.subarray(1, 33))],
    ['of 65 bytes that begin otherwise', Uint8Array.of(6, ...point.subarray(1))],
    ['of 67 bytes with another length', Uint8Array.of(4, 0x40, ...point)],
    ['of 67 bytes that hold no point', Uint8Array.of(4, 0x41, 3, ...point.subarray(1))],
    ['a bit string', Uint8Array.of(3, 0x42, 0, ...point)],
    ['of 66 bytes', Uint8Array.of(4, ...point)],
    ['empty', new Uint8Array()],
  ])('that is %s is refused', (_what, attribute) => {
    expect(pointOf(attribute)).toBeNull()
  })

  test('belongs to one of two named curves', () => {
    expect(curveOfParams(EC_PARAMS['K-256'])).toBe('K-256')
    expect(curveOfParams(EC_PARAMS['P-256'])).toBe('P-256')
    expect(curveOfParams(Buffer.from('06052b81040022', 'hex'))).toBeNull()
    expect(curveOfParams(Buffer.from('30820122', 'hex'))).toBeNull()
    expect(curveOfParams(new Uint8Array())).toBeNull()
  })
})

describe('a child', () => {
  test.each([
    [{ kind: 'shutdown' }],
    [{ kind: 'ready', sessions: -1 }],
    [{ kind: 'ready', sessions: 1, more: true }],
    [{ kind: 'progress', begun: [1], done: [{ id: 1 }] }],
    [{ kind: 'progress', begun: [1], done: [{ id: 1, signature: 'text' }] }],
    [{ kind: 'progress', begun: [1], done: [{ id: 1, signature: new Uint8Array(257) }] }],
    [{ kind: 'keys', states: [{ ref: 1, fault: 'odd', point: null }] }],
    [null],
    ['ready'],
  ])('that says %j is not believed', (message) => {
    expect(() => parseFromChild(message)).toThrow(/./)
  })

  test('sees the settings of its module and none of ours', () => {
    const environment = {
      PATH: '/bin',
      SOFTHSM2_CONF: '/etc/softhsm2.conf',
      DATABASE_URL: 'postgres://u:p@h/d',
      HOLDFAST_SECRET_FILE: '/s',
      AWS_SECRET_ACCESS_KEY: 'x',
      NODE_OPTIONS: '--inspect',
      PGPASSWORD: 'x',
    }
    const { PATH, SOFTHSM2_CONF } = environment
    expect(moduleEnvironment(environment)).toEqual({ PATH, SOFTHSM2_CONF })
  })

  test('is started again at once, then after 0.1 s, and never later than after 2 s', () => {
    expect(restartDelay(1, 1)).toBe(20)
    expect(restartDelay(2, 0)).toBe(50)
    expect(restartDelay(2, 1)).toBe(100)
    expect(restartDelay(4, 1)).toBe(400)
    expect(restartDelay(1_000_000, 1)).toBe(2_000)
  })
})

describe('a waiting signature', () => {
  const digest = new Uint8Array(32)
  const failure = (kind: Failure['kind']): Failure => ({ step: 'x', ckr: null, kind, message: 'm' })

  function waiting(count = 1, maxQueued = 10) {
    const onCancel = vi.fn<(id: number) => void>()
    const onQueued = vi.fn<() => void>()
    const jobs = createJobs({ maxQueued, onCancel, onQueued })
    const aborts = Array.from({ length: count }, () => new AbortController())
    const answers = aborts.map(async ({ signal }) => {
      try {
        return await jobs.add(1, digest, signal)
      } catch (error) {
        return error instanceof Error && 'code' in error ? error.code : error
      }
    })
    return { jobs, aborts, answers, onCancel }
  }

  test('that the child never had is unavailable at its deadline', async () => {
    const { aborts, answers, jobs } = waiting()
    aborts[0]?.abort()
    expect(await answers[0]).toBe('unavailable')
    expect(jobs.takeToSend(10)).toEqual([])
  })

  test('that the child has begun is a timeout at its deadline', async () => {
    const { aborts, answers, jobs, onCancel } = waiting()
    jobs.begin(jobs.takeToSend(1).map(({ id }) => id))
    aborts[0]?.abort()
    expect(await answers[0]).toBe('timeout')
    expect(onCancel).not.toHaveBeenCalled()
  })

  test('that the child has not begun is taken back, and unavailable when it says so', async () => {
    const { aborts, answers, jobs, onCancel } = waiting()
    const [item] = jobs.takeToSend(1)
    aborts[0]?.abort()
    expect(onCancel).toHaveBeenCalledWith(item?.id)
    jobs.finish({ id: item?.id ?? 0, failure: failure('busy'), used: 'no' })
    expect(await answers[0]).toBe('unavailable')
  })

  test('that the child has not begun is a timeout when it says nothing', async () => {
    const { aborts, answers, jobs } = waiting()
    jobs.takeToSend(1)
    aborts[0]?.abort()
    expect(await answers[0]).toBe('timeout')
  })

  test('that a dead child had not begun goes to the next, before the others', async () => {
    const { answers, jobs } = waiting(3)
    const [first, second] = jobs.takeToSend(2)
    jobs.begin([first?.id ?? 0])
    jobs.loseChild('it died')
    expect(await answers[0]).toBe('timeout')
    expect(jobs.takeToSend(10).map(({ id }) => id)).toEqual([second?.id, (second?.id ?? 0) + 1])
  })

  test('that ended three children is not given a fourth', async () => {
    const { answers, jobs } = waiting()
    for (let n = 0; n < 3; n += 1) {
      const [item] = jobs.takeToSend(1)
      jobs.begin([item?.id ?? 0])
      jobs.finish({ id: item?.id ?? 0, failure: failure('reinit'), used: 'no' })
    }
    expect(await answers[0]).toBe('unavailable')
    expect(jobs.takeToSend(1)).toEqual([])
  })

  test.each([
    ['configuration', 'no', 'key-unusable'],
    ['busy', 'no', 'unavailable'],
    ['discard', 'no', 'unavailable'],
    ['latch', 'no', 'unavailable'],
    ['reinit', 'unknown', 'timeout'],
  ] as const)('that failed as %s, key used: %s, is %s', async (kind, used, code) => {
    const { answers, jobs } = waiting()
    const [item] = jobs.takeToSend(1)
    jobs.finish({ id: item?.id ?? 0, failure: failure(kind), used })
    expect(await answers[0]).toBe(code)
  })

  test('beyond the bound is refused at once', async () => {
    const { answers, jobs } = waiting(3, 2)
    expect(await answers[2]).toBe('unavailable')
    expect(jobs.takeToSend(10)).toHaveLength(2)
  })

  test('is answered once, whatever is said of it later', async () => {
    const { answers, jobs } = waiting()
    const [item] = jobs.takeToSend(1)
    const signature = new Uint8Array(64)
    jobs.finish({ id: item?.id ?? 0, signature })
    jobs.finish({ id: item?.id ?? 0, failure: failure('reinit'), used: 'unknown' })
    jobs.finish({ id: 99, signature: new Uint8Array(64) })
    jobs.loseChild('it died')
    expect(await answers[0]).toBe(signature)
  })
})
