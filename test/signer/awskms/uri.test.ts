import { describe, expect, test } from 'vitest'
import { parseAwsKmsPlace, parseAwsKmsUri } from '../../../src/signer/awskms/uri.ts'

const ID = '1234abcd-12ab-34cd-56ef-1234567890ab'
const ARN = `arn:aws:kms:eu-central-1:111122223333:key/${ID}`
const unusable = { name: 'SignerError', code: 'key-unusable' }

describe('an awskms uri', () => {
  test('is the ARN of a key; AWS, its region and a share of the quota are understood', () => {
    expect(parseAwsKmsUri(`awskms:///${ARN}`)).toEqual({
      arn: ARN,
      region: 'eu-central-1',
      endpoint: 'https://kms.eu-central-1.amazonaws.com',
      rate: 200,
    })
  })

  test.each([
    ['region=eu-central-1', { region: 'eu-central-1' }],
    ['endpoint=https://vpce-1.kms.example.com', { endpoint: 'https://vpce-1.kms.example.com' }],
    [
      'endpoint=https%3A%2F%2Fkms.example.com%2Fpath%2F',
      { endpoint: 'https://kms.example.com/path' },
    ],
    ['endpoint=http://127.0.0.1:4566', { endpoint: 'http://127.0.0.1:4566' }],
    ['endpoint=http://[::1]:4566', { endpoint: 'http://[::1]:4566' }],
    ['rate=1', { rate: 1 }],
    ['rate=10000&region=eu-central-1', { rate: 10_000 }],
  ])('may say %s', (attribute, meant) => {
    expect(parseAwsKmsUri(`awskms:///${ARN}?${attribute}`)).toMatchObject(meant)
  })

  test.each([
    [
      `arn:aws:kms:us-east-1:111122223333:key/mrk-${'0a'.repeat(16)}`,
      'https://kms.us-east-1.amazonaws.com',
    ],
    [`arn:aws-cn:kms:cn-north-1:111122223333:key/${ID}`, 'https://kms.cn-north-1.amazonaws.com.cn'],
    [
      `arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/${ID}`,
      'https://kms.us-gov-west-1.amazonaws.com',
    ],
  ])('of %s leads to %s', (arn, endpoint) => {
    expect(parseAwsKmsUri(`awskms:///${arn}`)).toMatchObject({ arn, endpoint })
  })

  test.each([
    ['awskms:///alias/pds', 'alias'],
    ['awskms:///arn:aws:kms:eu-central-1:111122223333:alias/pds', 'alias'],
    [`awskms:///${ID}`, 'ARN'],
    [`awskms://${ARN}`, 'write awskms:///ARN'],
    [`awskms:${ARN}`, 'write awskms:///ARN'],
    ['awskms:///', 'ARN'],
    [`AWSKMS:///${ARN}`, 'write awskms:///ARN'],
    [`awskms:///${ARN}/`, 'ARN'],
    [`awskms:///${ARN.toUpperCase()}`, 'ARN'],
    [`awskms:///${ARN.replace(':kms:', ':s3:')}`, 'ARN'],
    [`awskms:///${ARN.replace('111122223333', '1111')}`, 'ARN'],
    [`awskms:///${ARN}?`, 'write awskms:///ARN'],
    [`awskms:///${ARN}?region=us-east-1`, 'region'],
    [`awskms:///${ARN}?region=`, 'region'],
    [`awskms:///${ARN}?regoin=eu-central-1`, 'regoin'],
    [`awskms:///${ARN}?rate=1&rate=2`, 'twice'],
    [`awskms:///${ARN}?rate=0`, 'rate'],
    [`awskms:///${ARN}?rate=10001`, 'rate'],
    [`awskms:///${ARN}?rate=1e3`, 'rate'],
    [`awskms:///${ARN}?endpoint=http://kms.example.com`, 'https'],
    [`awskms:///${ARN}?endpoint=http://127.0.0.1.example.com`, 'https'],
    [`awskms:///${ARN}?endpoint=https://user:pass@kms.example.com`, 'plain'],
    [`awskms:///${ARN}?endpoint=https://kms.example.com%3Fa=b`, 'plain'],
    [`awskms:///${ARN}?endpoint=ftp://kms.example.com`, 'https'],
    [`awskms:///${ARN}?endpoint=%E0%A4%A`, 'percent-encoded'],
    [`awskms:///${ARN}?rate=1#x`, 'write awskms:///ARN'],
  ])('like %s is refused, and it says why', (uri, reason) => {
    expect(() => parseAwsKmsUri(uri)).toThrow(
      expect.objectContaining({ ...unusable, message: expect.stringContaining(reason) }),
    )
  })
})

describe('the place of a key that is to be made', () => {
  test('is a region, and an endpoint where it is not AWS’s own', () => {
    expect(parseAwsKmsPlace('awskms:///?region=cn-north-1')).toEqual({
      region: 'cn-north-1',
      endpoint: 'https://kms.cn-north-1.amazonaws.com.cn',
    })
    expect(parseAwsKmsPlace('awskms:///?region=eu-west-1&endpoint=http://localhost:4566')).toEqual({
      region: 'eu-west-1',
      endpoint: 'http://localhost:4566',
    })
  })

  test.each([
    'awskms:///',
    `awskms:///${ARN}`,
    'awskms:///?region=x',
    'awskms:///?region=eu-west-1&rate=1',
  ])('is not %s', (uri) => {
    expect(() => parseAwsKmsPlace(uri)).toThrow(expect.objectContaining(unusable))
  })
})
