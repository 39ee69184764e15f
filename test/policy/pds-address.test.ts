import { expect, test } from 'vitest'
import { PolicyError } from '../../src/policy/error.ts'
import { parsePdsAddress } from '../../src/policy/pds-address.ts'

test.each([
  { text: 'https://pds.example.com', origin: 'https://pds.example.com' },
  { text: 'https://pds.example.com/', origin: 'https://pds.example.com' },
  { text: 'https://pds.example.com:8443', origin: 'https://pds.example.com:8443' },
  { text: 'http://localhost:2583', origin: 'http://localhost:2583' },
  { text: 'http://127.0.0.1:2583', origin: 'http://127.0.0.1:2583' },
  { text: 'http://[::1]:2583', origin: 'http://[::1]:2583' },
])('$text', ({ text, origin }) => {
  expect(parsePdsAddress(text)).toBe(origin)
})

test.each([
  '',
  'pds.example.com',
  'null',
  'data:x',
  'ftp://pds.example.com',
  'https://',
  'https://pds.example.com/path',
  'https://pds.example.com?',
  'https://pds.example.com/#',
  'https://u@pds.example.com',
  'https://u:p@pds.example.com',
  ' https://pds.example.com',
  // Spelt otherwise than identities spell it, it would be equal to none of their endpoints.
  'https://PDS.example.com',
  'https://pds.example.com:443',
  'HTTPS://pds.example.com',
  'http://pds.example.com',
  'http://127.0.0.1.example.com',
  'http://localhost.example.com',
])('%j is refused', (text) => {
  expect(() => parsePdsAddress(text)).toThrow(PolicyError)
})
