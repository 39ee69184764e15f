import { describe, expect, test } from 'vitest'
import { PolicyError } from '../../src/policy/error.ts'
import { parsePdsAddress } from '../../src/policy/pds-address.ts'
import { parsePolicySet } from '../../src/policy/parse.ts'
import { dids } from './cases.ts'

// What a PDS that is taken over brings along: its address, and a key that has been outside.

type Extra = { key?: object; recovery?: object; first?: object; second?: object }

function parse({ key = {}, recovery = {}, first = {}, second = {} }: Extra = {}) {
  const online = { id: 'pds', class: 'online', curve: 'K-256', did: dids.online, uri: 'file:pds' }
  const offline = { id: 'recovery', class: 'recovery', curve: 'K-256', did: dids.recovery }
  const caller = (name: string) => ({ name, keys: ['pds'] })
  return parsePolicySet({
    keys: JSON.stringify({
      keys: 'holdfast/keys/v1',
      list: [
        { ...online, ...key },
        { ...offline, ...recovery },
      ],
    }),
    callers: JSON.stringify({
      callers: 'holdfast/callers/v1',
      list: [
        { ...caller('one'), ...first },
        { ...caller('two'), ...second },
      ],
    }),
    policy: JSON.stringify({ policy: 'holdfast/policy/v1', env: 'prod', rules: [] }),
  })
}

function refusal(extra: Extra): string {
  try {
    parse(extra)
  } catch (error) {
    if (error instanceof PolicyError) return error.message
    throw error
  }
  return 'accepted'
}

describe('the pds address of a caller', () => {
  test('is kept as an origin, and decides what may be signed, so it is in the digest', () => {
    const policies = parse({ first: { pds: 'https://pds.example.com/' } })

    expect(policies.callers).toEqual([
      { name: 'one', keys: ['pds'], pds: 'https://pds.example.com' },
      { name: 'two', keys: ['pds'] },
    ])
    expect(policies.digest).not.toEqual(parse().digest)
  })

  test.each([
    'https://pds.example.com',
    'https://pds.example.com:8443',
    'http://localhost:2583',
    'http://127.0.0.1:2583',
    'http://127.8.0.1',
    'http://[::1]:2583',
  ])('%s is one', (address) => {
    expect(parsePdsAddress(address)).toBe(address)
  })

  test.each([
    ['http://pds.example.com', 'must be https'],
    ['http://localhost.example.com', 'must be https'],
    ['http://10.0.0.1:2583', 'must be https'],
    ['ftp://localhost', 'pds'],
    ['pds.example.com', 'https://HOST'],
    ['https://pds.example.com/xrpc', 'https://HOST'],
    ['https://pds.example.com?x', 'https://HOST'],
    ['https://pds.example.com#', 'https://HOST'],
    ['https://user@pds.example.com', 'https://HOST'],
    ['https://PDS.example.com', 'https://HOST'],
    ['https://pds.example.com:443', 'https://HOST'],
    ['', 'https://HOST'],
  ])('%s is none', (address, words) => {
    expect(refusal({ first: { pds: address } })).toContain(words)
    expect(refusal({ first: { pds: address } })).toMatch(/^callers\.yaml: /)
  })

  test('belongs to one caller: an identity with this endpoint has one owner', () => {
    const address = 'https://pds.example.com'
    expect(refusal({ first: { pds: address }, second: { pds: `${address}/` } })).toContain(
      'is there twice',
    )
  })
})

describe('a key that has been outside of custody', () => {
  test('is marked, in production too; false is the same as nothing', () => {
    expect(parse({ key: { exposed: true } }).keys[0]).toMatchObject({ exposed: true })
    expect(parse({ key: { exposed: false } }).digest).toEqual(parse().digest)
  })

  test('is never a recovery key', () => {
    expect(refusal({ recovery: { exposed: true } })).toContain('exposed is for online keys')
  })

  test('is marked with a boolean and nothing else', () => {
    expect(refusal({ key: { exposed: 'yes' } })).toContain('keys.yaml')
  })
})
