import { describe, expect, test } from 'vitest'
import { architectureRules, readProduct } from './support/architecture.ts'
import { readSource } from './support/imports.ts'

const product = await readProduct()

function findingsOf(files: typeof product): string[] {
  return Object.entries(architectureRules).flatMap(([name, rule]) =>
    rule(files).map((finding) => `${name}: ${finding}`),
  )
}

const standing = findingsOf(product)

/** What more the rules say of the product with these files added, or put in the place of its own. */
function findingsWith(sources: Readonly<Record<string, string>>): string[] {
  const added = Object.entries(sources).map(([file, text]) => readSource(file, text))
  const files = [...product.filter(({ file }) => sources[file] === undefined), ...added]
  return findingsOf(files).filter((finding) => !standing.includes(finding))
}

describe('docs/architecture.md holds', () => {
  test.each(Object.entries(architectureRules))('%s', (_name, rule) => {
    expect(rule(product)).toEqual([])
  })

  test('the files are there to be judged', () => {
    const files = product.map(({ file }) => file)
    expect(files.length).toBeGreaterThan(100)
    expect(files).toContain('src/plc/log.ts')
    expect(files).toContain('scripts/online/verify/log.ts')
    expect(product.flatMap(({ imports }) => imports).length).toBeGreaterThan(400)
  })
})

type Bad = {
  readonly what: string
  readonly files: Record<string, string>
  readonly says: string[]
}

const list = 'imports follow the allow-list'
const owner = 'each dependency has one owner'
const pure = 'PURE code has no clock, chance, environment, network or terminal'
const proof = 'a proof type is cast by its producer alone'
const verify = 'scripts/online/verify reaches no network and no database'
const offline = 'scripts/offline reaches no network and no database'

const one = (file: string, text: string, ...says: string[]): Omit<Bad, 'what'> => ({
  files: { [file]: text },
  says,
})

const bad: readonly Bad[] = [
  {
    what: 'plc that imports policy',
    ...one(
      'src/plc/x.ts',
      "import { evaluate } from '../policy/evaluate.ts'\nevaluate()",
      `${list}: src/plc/x.ts: src/plc may not import src/policy/evaluate.ts`,
    ),
  },
  {
    what: 'a type of it',
    ...one(
      'src/plc/x.ts',
      "import type { Decision } from '../policy/evaluate.ts'\nexport type X = Decision",
      `${list}: src/plc/x.ts: src/plc may not import types of src/policy/evaluate.ts`,
    ),
  },
  {
    what: 'an inline type of it',
    ...one(
      'src/plc/x.ts',
      "export type X = import('../policy/evaluate.ts').Decision",
      `${list}: src/plc/x.ts: src/plc may not import types of src/policy/evaluate.ts`,
    ),
  },
  {
    what: 'a re-export of it',
    ...one(
      'src/plc/x.ts',
      "export * from '../policy/evaluate.ts'",
      `${list}: src/plc/x.ts: src/plc may not import src/policy/evaluate.ts`,
    ),
  },
  {
    what: 'a dynamic import of it',
    ...one(
      'src/plc/x.ts',
      'export const x = await import(`../policy/evaluate.ts`)',
      `${list}: src/plc/x.ts: src/plc may not import src/policy/evaluate.ts`,
    ),
  },
  {
    what: 'an import that nobody can read',
    ...one(
      'src/store/x.ts',
      "const name = './claim.ts'\nexport const x = await import(name)",
      `${list}: src/store/x.ts: src/store may not import (computed)`,
    ),
  },
  {
    what: 'code where only types are allowed',
    ...one(
      'src/signer/x.ts',
      "import { evaluate, type Decision } from '../policy/evaluate.ts'\nevaluate() as Decision",
      `${list}: src/signer/x.ts: src/signer may not import src/policy/evaluate.ts`,
    ),
  },
  {
    what: 'custody that imports the store',
    ...one(
      'src/custody/x.ts',
      "import type { Database } from '../store/database.ts'\nexport type X = Database",
      `${list}: src/custody/x.ts: src/custody may not import types of src/store/database.ts`,
    ),
  },
  {
    what: 'custody that imports an adapter of a port',
    ...one(
      'src/custody/x.ts',
      "import { createBackends } from '../signer/backends.ts'\ncreateBackends()",
      `${list}: src/custody/x.ts: src/custody may not import src/signer/backends.ts`,
    ),
  },
  {
    what: 'store that imports a use case',
    ...one(
      'src/store/x.ts',
      "import { judge } from '../custody/judge.ts'\njudge()",
      `${list}: src/store/x.ts: src/store may not import src/custody/judge.ts`,
    ),
  },
  {
    what: 'a command that imports http',
    ...one(
      'scripts/online/x.ts',
      "import { createApp } from '../../src/http/app.ts'\ncreateApp()",
      `${list}: scripts/online/x.ts: scripts/online may not import src/http/app.ts`,
      'nothing imports http but the doors, main and http itself: scripts/online/x.ts: imports src/http/app.ts',
    ),
  },
  {
    what: 'a file that nobody thought of',
    ...one(
      'src/new.ts',
      "import { readFile } from 'node:fs/promises'\nreadFile",
      `${list}: src/new.ts: has no entry in the allow-list`,
    ),
  },
  {
    what: 'a launcher that needs what is not installed yet',
    ...one(
      'scripts/x.mjs',
      "import pg from 'pg'\npg",
      `${list}: scripts/x.mjs: scripts/*.mjs may not import pg`,
      `${owner}: scripts/x.mjs: imports pg, which belongs to src/store, type src/context.ts, type scripts/bench`,
    ),
  },
  {
    what: 'PURE code that reads files',
    ...one(
      'src/policy/x.ts',
      "import { readFileSync } from 'fs'\nreadFileSync('x')",
      `${list}: src/policy/x.ts: src/policy may not import node:fs`,
    ),
  },
  {
    what: 'YAML beside its parser',
    ...one(
      'src/policy/x.ts',
      "import { parse } from 'yaml'\nparse('')",
      `${list}: src/policy/x.ts: src/policy may not import yaml`,
      `${owner}: src/policy/x.ts: imports yaml, which belongs to src/policy/yaml.ts, src/policy/edit-roster.ts, src/development.ts`,
    ),
  },
  {
    what: 'the native curve code elsewhere',
    ...one(
      'src/ecdsa/x.ts',
      "import { createRequire } from 'node:module'\ncreateRequire(import.meta.url)('secp256k1/bindings.js')",
      `${list}: src/ecdsa/x.ts: src/ecdsa may not import node:module`,
      `${list}: src/ecdsa/x.ts: src/ecdsa may not import secp256k1/bindings.js`,
      `${owner}: src/ecdsa/x.ts: imports node:module, which belongs to src/ecdsa/native.ts, src/store/private-server-binaries.ts, src/signer/pkcs11/module.ts, scripts/build-ceremony.ts`,
      `${owner}: src/ecdsa/x.ts: imports secp256k1/bindings.js, which belongs to src/ecdsa/native.ts`,
    ),
  },
  {
    what: 'the reference client, even as a type',
    ...one(
      'src/directory/x.ts',
      "import type { Client } from '@did-plc/lib'\nexport type X = Client",
      `${list}: src/directory/x.ts: src/directory may not import types of @did-plc/lib`,
      `${owner}: src/directory/x.ts: imports types of @did-plc/lib, which belongs to nobody`,
    ),
  },
  {
    what: 'randomness in PURE code',
    ...one(
      'src/approval/x.ts',
      "import { randomUUID, createHash } from 'node:crypto'\nrandomUUID(createHash)",
      'PURE code takes hashing and nothing else from node:crypto: src/approval/x.ts: takes randomUUID from node:crypto',
    ),
  },
  {
    what: 'all of node:crypto in PURE code',
    ...one(
      'src/plc/x.ts',
      "import * as crypto from 'node:crypto'\nexport const x = crypto.hash('sha256', '')",
      `${pure}: src/plc/x.ts:1: uses crypto`,
      `${pure}: src/plc/x.ts:2: uses crypto.hash`,
      'PURE code takes hashing and nothing else from node:crypto: src/plc/x.ts: takes * from node:crypto',
    ),
  },
  {
    what: 'clock, chance, environment and terminal in PURE code',
    ...one(
      'src/policy/x.ts',
      [
        'export const a = Date.now()',
        'export const b = new Date()',
        'export const c = Date()',
        'export const { now } = Date',
        'export const d = Math.random()',
        "export const e = process.env['HOME']",
        'console.log(a, b, c, d, e)',
        'setTimeout(() => fetch)',
        'export const f = { crypto }',
        'export const g = globalThis',
        'export const h = import.meta.url',
      ].join('\n'),
      ...[
        '1: uses Date.now',
        '2: uses Date.now',
        '3: uses Date.now',
        '4: uses Date.now',
        '5: uses Math.random',
        '6: uses process.env',
        '7: uses console.log',
        '8: uses setTimeout',
        '8: uses fetch',
        '9: uses crypto',
        '10: uses globalThis',
        '11: uses import.meta',
      ].map((rest) => `${pure}: src/policy/x.ts:${rest}`),
      `${owner}: src/policy/x.ts:6: uses process.env, which belongs to scripts/online, scripts/ceremony.ts, scripts/*.mjs`,
      `${owner}: src/policy/x.ts:8: uses fetch, which belongs to src/directory, src/witness, src/notify/webhook.ts, src/client, scripts/fuzz`,
      `${owner}: src/policy/x.ts:10: uses globalThis, which belongs to nobody`,
    ),
  },
  {
    what: 'a clock in the judge',
    ...one(
      'src/custody/rivals.ts',
      'export const judgeRivals = () => Date.now()',
      `${pure}: src/custody/rivals.ts:1: uses Date.now`,
    ),
  },
  {
    what: 'the environment, whole',
    ...one(
      'src/store/x.ts',
      'export const { env } = process',
      `${owner}: src/store/x.ts:1: uses process, which belongs to nobody`,
    ),
  },
  {
    what: 'the environment in what verifies',
    ...one(
      'scripts/online/verify/x.ts',
      "export const x = process['env']",
      `${owner}: scripts/online/verify/x.ts:1: uses process.env, which belongs to scripts/online, scripts/ceremony.ts, scripts/*.mjs`,
      `${verify}: scripts/online/verify/x.ts:1: uses process.env (scripts/online/verify/x.ts)`,
    ),
  },
  {
    what: 'a server elsewhere',
    ...one(
      'src/store/x.ts',
      "import { connect } from 'node:net'\nconnect(1)",
      `${owner}: src/store/x.ts: imports node:net, which belongs to src/http/server.ts, scripts/bench`,
    ),
  },
  {
    what: 'a way from what verifies to the network',
    files: {
      'scripts/online/verify/x.ts': "import { x } from '../../../src/ecdsa/x.ts'\nx",
      'src/ecdsa/x.ts': "import { y } from '../plc/y.ts'\nexport const x = y",
      'src/plc/y.ts': "import { get } from 'node:https'\nexport const y = get",
    },
    says: [
      `${list}: src/plc/y.ts: src/plc may not import node:https`,
      `${owner}: src/plc/y.ts: imports node:https, which belongs to src/http/server.ts, scripts/bench`,
      `${verify}: src/plc/y.ts: imports node:https (scripts/online/verify/x.ts → src/ecdsa/x.ts → src/plc/y.ts)`,
    ],
  },
  {
    what: 'a way from the ceremony to the network',
    files: {
      'scripts/offline/split.ts':
        "import { x } from '../../src/ecdsa/x.ts'\nexport const split = x",
      'src/ecdsa/x.ts': "import { connect } from 'node:tls'\nexport const x = connect",
    },
    says: [
      `${list}: src/ecdsa/x.ts: src/ecdsa may not import node:tls`,
      `${owner}: src/ecdsa/x.ts: imports node:tls, which belongs to src/http/server.ts, scripts/bench`,
      `${offline}: src/ecdsa/x.ts: imports node:tls (scripts/ceremony.ts → scripts/offline/split.ts → src/ecdsa/x.ts)`,
    ],
  },
  {
    what: 'fetch in what a ceremony runs as a child',
    ...one(
      'src/signer/pkcs11/read-key.ts',
      'export const readKeys = fetch',
      `${owner}: src/signer/pkcs11/read-key.ts:1: uses fetch, which belongs to src/directory, src/witness, src/notify/webhook.ts, src/client, scripts/fuzz`,
      `${offline}: src/signer/pkcs11/read-key.ts:1: uses fetch (src/signer/pkcs11/admin-child.ts → src/signer/pkcs11/read-key.ts)`,
    ),
  },
  {
    what: "a vendor's module in the service",
    files: {
      'src/events.ts': "import { x } from './signer/pkcs11/x.ts'\nx",
      'src/signer/pkcs11/x.ts': "export * as x from 'pkcs11js'",
    },
    says: [
      `${list}: src/events.ts: src/events.ts may not import src/signer/pkcs11/x.ts`,
      `${list}: src/signer/pkcs11/x.ts: src/signer/pkcs11 may not import pkcs11js`,
      `${owner}: src/signer/pkcs11/x.ts: imports pkcs11js, which belongs to src/signer/pkcs11/module.ts`,
      "a vendor's PKCS#11 module is never loaded into the service's own process: src/signer/pkcs11/x.ts: imports pkcs11js (scripts/holdfast.ts → scripts/online/command.ts → src/context.ts → src/use-cases.ts → src/events.ts → src/signer/pkcs11/x.ts)",
    ],
  },
  {
    what: 'a service that makes keys in AWS KMS',
    ...one(
      'src/events.ts',
      "import { createKmsKey } from './signer/awskms/admin.ts'\ncreateKmsKey",
      `${list}: src/events.ts: src/events.ts may not import src/signer/awskms/admin.ts`,
      'the service reaches no code that makes keys in an HSM or in AWS KMS: src/events.ts: imports src/signer/awskms/admin.ts (src/main.ts → src/context.ts → src/use-cases.ts → src/events.ts)',
    ),
  },
  {
    what: 'a proof out of nothing',
    ...one(
      'src/custody/x.ts',
      [
        "import type { Authorized } from '../approval/authorize.ts'",
        'export const a = {} as Authorized',
        'export const b = {} as unknown as readonly Promise<Authorized>[]',
        'export const c = <Authorized>{}',
        'export const d = (x: unknown): x is Authorized => x !== d',
        'export const e = {} as any',
        'export const f = {} as never',
      ].join('\n'),
      ...['2: casts to Authorized', '3: casts to Authorized', '4: casts to Authorized'].map(
        (rest) => `${proof}: src/custody/x.ts:${rest}`,
      ),
      `${proof}: src/custody/x.ts:5: casts to Authorized`,
      `${proof}: src/custody/x.ts:6: casts to any`,
      `${proof}: src/custody/x.ts:7: casts to never`,
    ),
  },
  {
    what: 'a brand made by hand',
    ...one(
      'src/signer/x.ts',
      "import type { Proof } from '../plc/proof.ts'\nexport const x = {} as Proof<object, 'Authorized'>",
      `${proof}: src/signer/x.ts:2: casts to Proof`,
    ),
  },
  {
    what: 'a proof type without a producer',
    ...one(
      'src/plc/x.ts',
      "import type { Proof } from './proof.ts'\nexport type Checked = Proof<string, 'Checked'>",
      `${proof}: src/plc/x.ts: the proof type Checked has no producer named here`,
    ),
  },
  {
    what: 'a producer that is none any more',
    ...one(
      'src/signer/release.ts',
      'export const verifyForRelease = 1',
      `${proof}: src/signer/release.ts: is named as a producer of VerifiedSignature and casts none`,
    ),
  },
  {
    what: 'a cycle',
    files: {
      'src/plc/x.ts': "import './y.ts'",
      'src/plc/y.ts': "import type { Z } from './z.ts'\nexport type Y = Z",
      'src/plc/z.ts': "export { x as Z } from './x.ts'",
    },
    says: ['there are no import cycles: src/plc/x.ts → src/plc/y.ts → src/plc/z.ts → src/plc/x.ts'],
  },
  {
    what: 'an import of nothing',
    ...one(
      'src/plc/x.ts',
      "import './gone.ts'",
      'every import leads to a file that is there: src/plc/x.ts: imports src/plc/gone.ts, not found',
    ),
  },
  {
    what: 'a drawer for everything',
    files: { 'src/plc/utils/x.ts': '', 'src/store/helpers.ts': '' },
    says: ['src/plc/utils/x.ts', 'src/store/helpers.ts'].map(
      (file) => `no file or folder is a catch-all: ${file}: say what it is for`,
    ),
  },
  {
    what: 'a file of 401 lines',
    ...one(
      'src/plc/x.ts',
      'export {}\n'.repeat(401),
      'no file is longer than anybody reads at once: src/plc/x.ts: 401 lines; at most 400',
    ),
  },
]

describe('the rules can fail', () => {
  test.each(bad)('$what', ({ files, says }) => {
    expect(findingsWith(files)).toEqual(says)
  })

  test('each of them does, above', () => {
    const seen = bad.flatMap(({ says }) => says)
    for (const name of Object.keys(architectureRules)) {
      expect(seen.some((finding) => finding.startsWith(`${name}: `))).toBe(true)
    }
  })

  test('what only looks like a global is left alone', () => {
    const text = [
      "import { setTimeout as sleep } from './sleep.ts'",
      'export type X = { fetch: Date; console(): void; process: Response }',
      'export const x = { fetch: 1, process: 2 }.fetch',
      'export class Y { performance = 1; crypto() { return this.performance } }',
      'export const at = (time: Date) => time instanceof Date && new Date(0) > new Date(Date.UTC(1))',
      'export const most = Math.max(x, sleep.length)',
    ].join('\n')
    expect(readSource('src/plc/x.ts', text).globals).toEqual([])
  })

  test('a file that does not parse is no empty file', () => {
    expect(() => readSource('src/plc/x.ts', 'import {')).toThrow('src/plc/x.ts')
  })
})
