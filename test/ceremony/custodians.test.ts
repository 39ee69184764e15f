import { expect, test } from 'vitest'
import { parseCustodians } from '../../src/ceremony/custodians.ts'

const anna = 'age1v2vgqwcszwa3shc0fckv6vpf7ysxxmdt9kw3lvlhts0ntmwzkemq24ms85'
const ben = 'age1rgw4cgu6fmqvz2pmjc7744sty6yvcy03r0puz3vt0cys7vzftaaq5xhcsc'
const file = (list: string) => `custodians: holdfast/custodians/v1\nepoch: 2\nlist:\n${list}`
const entry = (id: string, recipient: string) => `  - { id: ${id}, recipient: ${recipient} }\n`

test('a list of custodians', () => {
  const text = file(entry('anna', anna) + entry('ben', ben))
  expect(parseCustodians(text, 'c.yaml')).toEqual({
    epoch: 2,
    list: [
      { id: 'anna', recipient: anna },
      { id: 'ben', recipient: ben },
    ],
  })
})

test.each([
  ['one custodian', file(entry('anna', anna)), 'c.yaml: list: a key is split among two'],
  ['a person twice', file(entry('anna', anna) + entry('anna', ben)), 'c.yaml: id anna'],
  ['an identity twice', file(entry('anna', anna) + entry('ben', anna)), 'c.yaml: recipient age1v2'],
  [
    'no age recipient',
    file(entry('anna', anna) + entry('ben', 'ssh-rsa')),
    'c.yaml: list.1.recipient',
  ],
  ['a name that is a path', file(entry('../x', anna) + entry('ben', ben)), 'c.yaml: list.0.id'],
  [
    'an unknown key',
    `${file(entry('anna', anna) + entry('ben', ben))}more: 1\n`,
    'Unrecognized key',
  ],
  ['another format', 'custodians: v2\nepoch: 1\nlist: []\n', 'c.yaml: custodians'],
  ['no YAML', '[', 'c.yaml'],
])('refused: %s', (_what, text, says) => {
  expect(() => parseCustodians(text, 'c.yaml')).toThrow(says)
})
