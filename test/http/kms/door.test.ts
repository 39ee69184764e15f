import { describe, expect, it } from 'vitest'
import type { SignNow, SignNowResult } from '../../../src/custody/sign-now.ts'
import type { AppDeps } from '../../../src/http/app.ts'
import { createApp } from '../../../src/http/app.ts'
import type { Signed, ToSign } from '../../support/aws-client.ts'
import { kmsCall, signRequest } from '../../support/aws-client.ts'
import {
  doorDeps,
  findCredential,
  other,
  pds,
  pdsCredential,
  pdsToken,
  send,
} from '../door-deps.ts'

const message = Buffer.from('an unsigned operation')
const good = {
  KeyId: 'pds',
  Message: message.toString('base64'),
  SigningAlgorithm: 'ECDSA_SHA_256',
}

type Answer = {
  status: number
  type: string | undefined
  message: string
  body: Record<string, unknown>
}

async function ask(call: ToSign, changes: Partial<AppDeps> = {}): Promise<Answer> {
  return answerOf(await send(createApp(doorDeps(changes).deps), signRequest(call)))
}

async function answerOf(response: Response): Promise<Answer> {
  expect(response.headers.get('content-type')).toBe('application/x-amz-json-1.1')
  expect(response.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/)
  const body = (await response.json()) as Record<string, unknown>
  const type = body['__type'] as string | undefined
  return { status: response.status, type, message: String(body['message']), body }
}

function signNowThat(answer: SignNowResult): SignNow {
  return async () => answer
}

describe('GetPublicKey', () => {
  it('answers with the SPKI of the pinned key', async () => {
    const { status, body } = await ask(kmsCall('GetPublicKey', { KeyId: 'pds' }, pds))
    expect(status).toBe(200)
    expect(body).toEqual({
      KeyId: 'arn:aws:kms:holdfast:000000000000:key/pds',
      PublicKey: expect.stringMatching(/^MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE/),
      KeySpec: 'ECC_SECG_P256K1',
      CustomerMasterKeySpec: 'ECC_SECG_P256K1',
      KeyUsage: 'SIGN_VERIFY',
      SigningAlgorithms: ['ECDSA_SHA_256'],
    })
  })

  it.each([
    'pds',
    'alias/pds',
    'arn:aws:kms:holdfast:000000000000:key/pds',
    'arn:aws:kms:eu-north-1:111122223333:alias/pds',
    'arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/pds',
  ])('takes the key by the name %s', async (name) => {
    const { body } = await ask(kmsCall('GetPublicKey', { KeyId: name }, pds))
    expect(body['KeyId']).toBe('arn:aws:kms:holdfast:000000000000:key/pds')
  })

  it.each([
    ['that nobody has', 'none'],
    ['of another caller', 'other'],
    ['that is offline', 'recovery'],
    ['that is spelled otherwise', 'PDS'],
    ['in a folder of keys', 'key/pds'],
    ['of another AWS service', 'arn:aws:s3:eu-north-1:111122223333:key/pds'],
    ['named like a property of every object', '__proto__'],
  ])('does not find a key %s', async (_, name) => {
    const answers = [
      await ask(kmsCall('GetPublicKey', { KeyId: name }, pds)),
      await ask(kmsCall('DescribeKey', { KeyId: name }, pds)),
      await ask(kmsCall('Sign', { ...good, KeyId: name }, pds)),
    ]
    for (const { status, type, message } of answers) {
      expect({ status, type, message }).toEqual({
        status: 400,
        type: 'NotFoundException',
        message: 'no key of this id signs for this caller',
      })
    }
  })

  it('does not find the key of the PDS for another caller', async () => {
    const { type } = await ask(kmsCall('GetPublicKey', { KeyId: 'pds' }, other))
    expect(type).toBe('NotFoundException')
  })
})

describe('Sign', () => {
  it('gives the use case the caller, the key and the exact bytes', async () => {
    const calls: Parameters<SignNow>[0][] = []
    const signNow: SignNow = async (input) => {
      calls.push(input)
      return { kind: 'signed', requestId: 'r', compact: new Uint8Array(64).fill(1) }
    }
    const { status, body } = await ask(kmsCall('Sign', good, pds), { signNow })
    expect(status).toBe(200)
    expect(calls.map(({ caller, key }) => [caller, key.id])).toEqual([['pds', 'pds']])
    expect(Buffer.from(calls[0]!.message)).toEqual(message)
    expect(body).toEqual({
      KeyId: 'arn:aws:kms:holdfast:000000000000:key/pds',
      Signature: Buffer.from(`3044${`0220${'01'.repeat(32)}`.repeat(2)}`, 'hex').toString('base64'),
      SigningAlgorithm: 'ECDSA_SHA_256',
    })
  })

  it('takes the MessageType RAW, and 4096 bytes', async () => {
    const Message = Buffer.alloc(4096).toString('base64')
    const { status } = await ask(kmsCall('Sign', { ...good, Message, MessageType: 'RAW' }, pds))
    expect(status).toBe(200)
  })

  it.each<[string, SignNowResult, string, string]>([
    [
      'a denial',
      { kind: 'denied', requestId: 'r-1', rule: 'PLC-ROTATION-KEEP-RECOVERY', message: 'no' },
      'AccessDeniedException',
      'denied by PLC-ROTATION-KEEP-RECOVERY: no (request r-1)',
    ],
    [
      'bytes that are no operation',
      { kind: 'malformed', message: 'not an operation' },
      'ValidationException',
      'not an operation',
    ],
    [
      'a live call for the same bytes',
      { kind: 'busy', requestId: 'r-2', message: 'being signed' },
      'ThrottlingException',
      'being signed (request r-2)',
    ],
    [
      'overload',
      { kind: 'busy', requestId: null, message: 'later' },
      'ThrottlingException',
      'later',
    ],
  ])('answers %s with a 400 of its own', async (_, result, type, message) => {
    const answer = await ask(kmsCall('Sign', good, pds), { signNow: signNowThat(result) })
    expect([answer.status, answer.type, answer.message]).toEqual([400, type, message])
  })

  it('answers our own failure with a 500 whose words stay in the log', async () => {
    const failure = new Error('password=hunter2 at /srv/holdfast')
    const { deps, lines } = doorDeps({ signNow: () => Promise.reject(failure) })
    const response = await send(createApp(deps), signRequest(kmsCall('Sign', good, pds)))
    const { status, type, message } = await answerOf(response)
    expect([status, type]).toEqual([500, 'KMSInternalException'])
    expect(message).not.toContain('hunter2')
    const logged = lines.find(({ level }) => level === 'error')
    expect(logged?.fields['err']).toBe(failure)
    expect(message).toContain(String(logged?.fields['correlationId']))
    expect(response.headers.get('x-amzn-requestid')).toBe(logged?.fields['correlationId'])
  })

  const unanswered: SignNow = () => Promise.reject(new Error('must not be called'))
  it.each<[string, unknown]>([
    ['a digest', { ...good, MessageType: 'DIGEST' }],
    ['another message type', { ...good, MessageType: 'raw' }],
    ['another algorithm', { ...good, SigningAlgorithm: 'ECDSA_SHA_384' }],
    ['no algorithm', { KeyId: good.KeyId, Message: good.Message }],
    ['no message', { ...good, Message: undefined }],
    ['an empty message', { ...good, Message: '' }],
    ['a message of 4097 bytes', { ...good, Message: Buffer.alloc(4097).toString('base64') }],
    ['a message without padding', { ...good, Message: 'YQ' }],
    ['a message with stray bits', { ...good, Message: 'YR==' }],
    ['a message in base64url', { ...good, Message: '-_-_' }],
    ['a message with a line break', { ...good, Message: `${good.Message}\n` }],
    ['a message that is a number', { ...good, Message: 1 }],
    ['a grant token', { ...good, GrantTokens: ['t'] }],
    ['a dry run', { ...good, DryRun: true }],
    ['a field of every object', JSON.parse(`{"__proto__":{},${JSON.stringify(good).slice(1)}`)],
    ['no key', { ...good, KeyId: undefined }],
    ['an empty key', { ...good, KeyId: '' }],
    ['a key that is a list', { ...good, KeyId: ['pds'] }],
    ['a very long key', { ...good, KeyId: 'k'.repeat(2049) }],
    ['a list', [good]],
    ['null', null],
  ])('refuses %s and asks nobody', async (_, input) => {
    const answer = await ask(kmsCall('Sign', input, pds), { signNow: unanswered })
    expect([answer.status, answer.type]).toEqual([400, 'ValidationException'])
  })
})

describe('DescribeKey', () => {
  it('answers with the facts of a signing key', async () => {
    const { body } = await ask(kmsCall('DescribeKey', { KeyId: 'pds-p256' }, pds))
    expect(body['KeyMetadata']).toMatchObject({
      KeyId: 'pds-p256',
      Arn: 'arn:aws:kms:holdfast:000000000000:key/pds-p256',
      Enabled: true,
      KeyState: 'Enabled',
      KeySpec: 'ECC_NIST_P256',
      KeyUsage: 'SIGN_VERIFY',
      SigningAlgorithms: ['ECDSA_SHA_256'],
    })
  })
})

describe('a call with one thing wrong', () => {
  const call = kmsCall('GetPublicKey', { KeyId: 'pds' }, pds)
  it.each<[string, string, Partial<ToSign>]>([
    ['another action', 'UnknownOperationException', kmsCall('Encrypt', {}, pds)],
    ['an action in other case', 'UnknownOperationException', kmsCall('sign', good, pds)],
    [
      'an action of another service',
      'UnknownOperationException',
      { headers: { ...call.headers, 'x-amz-target': 'DynamoDB_20120810.GetItem' } },
    ],
    [
      'an action without its service',
      'UnknownOperationException',
      { headers: { ...call.headers, 'x-amz-target': 'GetPublicKey' } },
    ],
    [
      'plain JSON',
      'ValidationException',
      { headers: { ...call.headers, 'content-type': 'application/json' } },
    ],
    ['no JSON', 'ValidationException', { body: 'KeyId=pds' }],
    ['an empty body', 'ValidationException', { body: '' }],
    ['broken UTF-8', 'ValidationException', { body: Buffer.from('7b22ff227d', 'hex') }],
    ['a deep body', 'ValidationException', { body: '['.repeat(60_000) }],
    ['a query', 'ValidationException', { query: 'a=b' }],
    ['a signature in the query', 'IncompleteSignatureException', { query: 'X-Amz-Signature=0' }],
    ['the scope of /v1', 'InvalidSignatureException', { service: 'holdfast' }],
    ['a wrong secret', 'InvalidSignatureException', { key: { ...pds, secretAccessKey: 'x' } }],
    [
      'an unknown key',
      'InvalidSignatureException',
      { key: { ...pds, accessKeyId: 'HFAKNOBODY0000000000' } },
    ],
    ['an old signature', 'InvalidSignatureException', { time: new Date(Date.now() - 400_000) }],
  ])('is refused for %s', async (_, type, changes) => {
    const answer = await ask({ ...call, ...changes })
    expect([answer.status, answer.type]).toEqual([400, type])
  })

  it.each<[string, string, (signed: Signed) => Signed]>([
    [
      'a repeated header',
      'IncompleteSignatureException',
      (signed) => ({
        ...signed,
        headers: [...signed.headers, ['X-Amz-Target', 'TrentService.Sign']],
      }),
    ],
    [
      'a bearer token, which is for /v1',
      'IncompleteSignatureException',
      (signed) => ({
        ...signed,
        headers: signed.headers.map(([name, value]) =>
          name === 'authorization'
            ? [name, `Bearer ${pds.accessKeyId}.${pdsToken}`]
            : [name, value],
        ),
      }),
    ],
    [
      'a body that is too large',
      'ValidationException',
      (signed) => ({ ...signed, body: new Uint8Array(64 * 1024 + 1) }),
    ],
    [
      'a declared body that is too large',
      'ValidationException',
      (signed) => ({ ...signed, headers: [...signed.headers, ['content-length', '65537']] }),
    ],
  ])('is refused for %s', async (_, type, change) => {
    const app = createApp(doorDeps().deps)
    const answer = await answerOf(await send(app, change(signRequest(call))))
    expect([answer.status, answer.type]).toEqual([400, type])
  })

  it('is not told whether the secret or the access key was wrong', async () => {
    const wrong = await ask({ ...call, key: { ...pds, secretAccessKey: 'x' } })
    const unknown = await ask({ ...call, key: { ...pds, accessKeyId: 'HFAKNOBODY0000000000' } })
    expect(wrong).toEqual(unknown)
  })
})

describe('more calls at once than there is room for', () => {
  it('are told to come back, while public keys are still read', async () => {
    const release: (() => void)[] = []
    const signNow: SignNow = (input) =>
      new Promise((resolve) => {
        release.push(() => resolve({ kind: 'malformed', message: input.caller }))
      })
    const app = createApp(doorDeps({ signNow, limits: { signatures: 2 } }).deps)
    const sign = async (): Promise<Answer> =>
      answerOf(await send(app, signRequest(kmsCall('Sign', good, pds))))
    const waiting = [sign(), sign()]
    await expect.poll(() => release.length).toBe(2)

    expect((await sign()).type).toBe('ThrottlingException')
    const read = await send(app, signRequest(kmsCall('GetPublicKey', { KeyId: 'pds' }, pds)))
    expect(read.status).toBe(200)

    release.forEach((resolve) => resolve())
    expect((await Promise.all(waiting)).map(({ type }) => type)).toEqual([
      'ValidationException',
      'ValidationException',
    ])
    const later = sign()
    await expect.poll(() => release.length).toBe(3)
    release[2]!()
    expect((await later).type).toBe('ValidationException')
  })

  it('are throttled before they reach the database', async () => {
    let looking = 0
    const stuck = (): Promise<null> => {
      looking += 1
      return new Promise(() => undefined)
    }
    const app = createApp(doorDeps({ findCredential: stuck, limits: { lookUps: 1 } }).deps)
    const call = signRequest(kmsCall('GetPublicKey', { KeyId: 'pds' }, pds))
    void send(app, call)
    await expect.poll(() => looking).toBe(1)
    expect((await answerOf(await send(app, call))).type).toBe('ThrottlingException')
    expect(looking).toBe(1)
  })
})

describe('with the database down', () => {
  const down: { found: AppDeps['findCredential'] } = { found: findCredential }
  const flaky: AppDeps['findCredential'] = (id) => down.found(id)
  const fail: AppDeps['findCredential'] = () => Promise.reject(new Error('database down'))
  const callOf = (action: string): Signed =>
    signRequest(kmsCall(action, action === 'Sign' ? good : { KeyId: 'pds' }, pds))

  it('a known caller still reads its public key, and signs nothing', async () => {
    const { deps, lines } = doorDeps({ findCredential: flaky })
    const app = createApp(deps)
    down.found = findCredential
    await send(app, callOf('GetPublicKey'))
    down.found = fail
    expect((await send(app, callOf('GetPublicKey'))).status).toBe(200)
    expect((await send(app, callOf('DescribeKey'))).status).toBe(200)
    expect((await send(app, callOf('Sign'))).status).toBe(500)
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(2)
  })

  it('a caller known since the start reads its public key', async () => {
    const { deps } = doorDeps({ findCredential: fail, initialCredentials: [pdsCredential] })
    expect((await send(createApp(deps), callOf('GetPublicKey'))).status).toBe(200)
  })

  it('a wrong secret and an unknown access key get the same, our failure', async () => {
    const { deps, lines } = doorDeps({ findCredential: fail, initialCredentials: [pdsCredential] })
    const app = createApp(deps)
    const read = async (key: typeof pds): Promise<Answer> =>
      answerOf(await send(app, signRequest(kmsCall('GetPublicKey', { KeyId: 'pds' }, key))))
    for (const key of [{ ...pds, secretAccessKey: 'wrong' }, other]) {
      expect(await read(key)).toMatchObject({ status: 500, type: 'KMSInternalException' })
    }
    expect(lines.filter(({ level }) => level === 'warn')).toEqual([])
  })

  it('a request that did not verify is not remembered', async () => {
    const app = createApp(doorDeps({ findCredential: flaky }).deps)
    down.found = findCredential
    const wrong = kmsCall('GetPublicKey', { KeyId: 'pds' }, { ...pds, secretAccessKey: 'wrong' })
    await send(app, signRequest(wrong))
    down.found = fail
    expect((await send(app, callOf('GetPublicKey'))).status).toBe(500)
  })

  it('an access key whose revocation was seen is forgotten', async () => {
    const app = createApp(doorDeps({ findCredential: flaky }).deps)
    down.found = findCredential
    await send(app, callOf('GetPublicKey'))
    down.found = async () => null
    expect((await send(app, callOf('Sign'))).status).toBe(400)
    down.found = fail
    expect((await send(app, callOf('GetPublicKey'))).status).toBe(500)
  })
})
