import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  ConfigError,
  isInDataDir,
  readEnv,
  secretPath,
  toConfig,
  toSecrets,
} from '../src/config.ts'
import type { Config, Env } from '../src/config.ts'

const WORK = '/srv/holdfast'
const defaults: Config = {
  host: '127.0.0.1',
  port: 2590,
  dataDir: '/srv/holdfast/data',
  plcUrl: 'https://plc.directory',
  policiesDir: null,
  secretFile: null,
  checkpointDir: '/srv/holdfast/data/checkpoint',
  checkpointKeyFile: '/srv/holdfast/data/checkpoint.key',
  publicUrl: null,
  pkcs11PinFile: null,
  tls: null,
}

const config = (environment: NodeJS.ProcessEnv) => toConfig(readEnv(environment), WORK)
const secrets = (environment: NodeJS.ProcessEnv) => toSecrets(readEnv(environment))

function refusal(read: () => unknown): string {
  try {
    read()
    return 'accepted'
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message
  }
}

describe('the environment', () => {
  test('what is not ours is left alone', () => {
    const environment = { PATH: '/bin', AWS_REGION: 'x', PGPASSWORD: 'x', holdfast_port: '1' }
    expect(readEnv(environment)).toEqual({})
  })

  test.each(['HOLDFAST_PROT', 'HOLDFAST_', 'HOLDFAST_DATABASE_URL', 'HOLDFAST_ENV'])(
    'an unknown %s is refused, even when it is empty',
    (name) => {
      expect(refusal(() => readEnv({ [name]: '1' }))).toContain(`${name}: no such setting`)
      expect(refusal(() => readEnv({ [name]: '' }))).toContain('HOLDFAST_PORT, ')
    },
  )

  test('an empty setting is one that is not set', () => {
    expect(readEnv({ HOLDFAST_PORT: '', DATABASE_URL: '' })).toEqual({})
    expect(config({ HOLDFAST_PORT: '', HOLDFAST_HOST: '' })).toEqual(defaults)
  })

  test('what is read cannot be changed', () => {
    expect(Object.isFrozen(readEnv({}))).toBe(true)
    expect(Object.isFrozen(config({}))).toBe(true)
    expect(Object.isFrozen(secrets({}))).toBe(true)
  })
})

test('without any setting it listens on loopback and keeps everything in ./data', () => {
  expect(config({})).toEqual(defaults)
  expect(secrets({})).toEqual({
    databaseUrl: null,
    databaseOwnerUrl: null,
    checkpointStoreUrl: null,
  })
  expect(secretPath(config({}))).toBe('/srv/holdfast/data/secret')
})

type Setting = keyof Env
type Row = { name: Setting; value: string; gives: Partial<Config>; with?: NodeJS.ProcessEnv }

const tls = { HOLDFAST_TLS_CERT_FILE: 'cert.pem', HOLDFAST_TLS_KEY_FILE: '/k.pem' }
const tlsConfig = { tls: { certFile: '/srv/holdfast/cert.pem', keyFile: '/k.pem' } }

const inDataDir = (dataDir: string) => ({
  dataDir,
  checkpointDir: `${dataDir}/checkpoint`,
  checkpointKeyFile: `${dataDir}/checkpoint.key`,
})

const good: readonly Row[] = [
  {
    name: 'HOLDFAST_CHECKPOINT_STORE',
    value: 'file:c',
    gives: { checkpointDir: '/srv/holdfast/c' },
  },
  { name: 'HOLDFAST_CHECKPOINT_STORE', value: 'postgres://o@elsewhere.example/held', gives: {} },
  {
    name: 'HOLDFAST_CHECKPOINT_KEY_FILE',
    value: '/etc/k',
    gives: { checkpointKeyFile: '/etc/k' },
  },
  { name: 'HOLDFAST_HOST', value: 'localhost', gives: { host: 'localhost' } },
  { name: 'HOLDFAST_HOST', value: '::1', gives: { host: '::1' } },
  { name: 'HOLDFAST_HOST', value: '127.0.0.53', gives: { host: '127.0.0.53' } },
  { name: 'HOLDFAST_HOST', value: '0.0.0.0', gives: { host: '0.0.0.0', ...tlsConfig }, with: tls },
  { name: 'HOLDFAST_PORT', value: '0', gives: { port: 0 } },
  { name: 'HOLDFAST_PORT', value: '65535', gives: { port: 65_535 } },
  { name: 'HOLDFAST_DATA_DIR', value: 'd', gives: inDataDir('/srv/holdfast/d') },
  { name: 'HOLDFAST_DATA_DIR', value: '/var/lib/h', gives: inDataDir('/var/lib/h') },
  {
    name: 'HOLDFAST_PLC_URL',
    value: 'http://localhost:2582/',
    gives: { plcUrl: 'http://localhost:2582' },
  },
  {
    name: 'HOLDFAST_PLC_URL',
    value: 'https://a.example/plc//',
    gives: { plcUrl: 'https://a.example/plc' },
  },
  { name: 'HOLDFAST_POLICIES_DIR', value: 'p', gives: { policiesDir: '/srv/holdfast/p' } },
  { name: 'HOLDFAST_SECRET_FILE', value: '../s', gives: { secretFile: '/srv/s' } },
  { name: 'HOLDFAST_PKCS11_PIN_FILE', value: '../pin', gives: { pkcs11PinFile: '/srv/pin' } },
  {
    name: 'HOLDFAST_PUBLIC_URL',
    value: 'https://h.example',
    gives: { publicUrl: 'https://h.example' },
  },
  {
    name: 'HOLDFAST_PUBLIC_URL',
    value: 'https://h.example:8443/',
    gives: { publicUrl: 'https://h.example:8443' },
  },
  {
    name: 'HOLDFAST_PUBLIC_URL',
    value: 'http://localhost:2590',
    gives: { publicUrl: 'http://localhost:2590' },
  },
  { name: 'HOLDFAST_TLS_CERT_FILE', value: 'cert.pem', gives: tlsConfig, with: tls },
  { name: 'HOLDFAST_TLS_KEY_FILE', value: '/k.pem', gives: tlsConfig, with: tls },
]

const bad: readonly { name: Setting; value: string; says: string }[] = [
  ...[
    '0.0.0.0',
    '::',
    '192.168.1.2',
    'h.example',
    '127.0.0.1.h.example',
    '1270.0.0.1',
    '[::1]',
  ].map((value) => ({ name: 'HOLDFAST_HOST' as const, value, says: 'set HOLDFAST_TLS_CERT_FILE' })),
  ...['65536', '-1', '80.0', '0x50', ' 80', 'http', '1e3', '000080'].map((value) => ({
    name: 'HOLDFAST_PORT' as const,
    value,
    says: 'is not a port number',
  })),
  ...['plc.directory', 'ftp://plc.directory', 'https://'].map((value) => ({
    name: 'HOLDFAST_PLC_URL' as const,
    value,
    says: 'is not an http or https URL',
  })),
  ...['u@a.example', ':p@a.example', 'a.example?', 'a.example/?x', 'a.example#', 'a.example#x'].map(
    (rest) => ({
      name: 'HOLDFAST_PLC_URL' as const,
      value: `https://${rest}`,
      says: 'without user, query or fragment',
    }),
  ),
  { name: 'HOLDFAST_PUBLIC_URL', value: 'h.example', says: 'is not an http or https URL' },
  ...['http://h.example', 'http://127.0.0.1:2590', 'http://localhost.example'].map((value) => ({
    name: 'HOLDFAST_PUBLIC_URL' as const,
    value,
    says: 'https, or http on the name localhost',
  })),
  ...['https://127.0.0.1', 'https://[::1]', 'https://0x7f.1', 'https://2130706433'].map(
    (value) => ({
      name: 'HOLDFAST_PUBLIC_URL' as const,
      value,
      says: 'not an IP address',
    }),
  ),
  { name: 'HOLDFAST_PUBLIC_URL', value: 'https://h.example/a', says: 'has no path' },
  { name: 'HOLDFAST_PUBLIC_URL', value: 'https://h.example/?a', says: 'without user, query' },
  { name: 'HOLDFAST_CHECKPOINT_STORE', value: 's3://b', says: 'write file:FOLDER' },
  { name: 'HOLDFAST_TLS_CERT_FILE', value: 'c.pem', says: 'HOLDFAST_TLS_KEY_FILE: is missing' },
  { name: 'HOLDFAST_TLS_KEY_FILE', value: 'k.pem', says: 'HOLDFAST_TLS_CERT_FILE: is missing' },
]

describe('each setting', () => {
  test.each(good)('$name=$value', ({ name, value, gives, with: others }) => {
    expect(config({ ...others, [name]: value })).toEqual({ ...defaults, ...gives })
  })

  test.each(bad)('$name=$value is refused', ({ name, value, says }) => {
    expect(refusal(() => config({ [name]: value }))).toContain(says)
  })

  const database = 'postgres://u:hunter2@db.example:5432/h'

  test('DATABASE_URL, alone or with DATABASE_OWNER_URL', () => {
    expect(secrets({ DATABASE_URL: database }).databaseUrl).toBe(database)
    expect(
      secrets({ DATABASE_URL: database, DATABASE_OWNER_URL: 'postgresql://o@db.example/h' }),
    ).toEqual({
      databaseUrl: database,
      databaseOwnerUrl: 'postgresql://o@db.example/h',
      checkpointStoreUrl: null,
    })
  })

  test('either from a file, and not from both places', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-config-'))
    const file = join(folder, 'url')
    await writeFile(file, `${database}\n`)

    expect(secrets({ DATABASE_URL_FILE: file }).databaseUrl).toBe(database)
    expect(refusal(() => secrets({ DATABASE_URL_FILE: file, DATABASE_URL: database }))).toContain(
      'DATABASE_URL_FILE: is set beside DATABASE_URL',
    )
    expect(refusal(() => secrets({ DATABASE_URL_FILE: `${file}.gone` }))).toContain(
      'DATABASE_URL_FILE: cannot read',
    )
    await rm(folder, { recursive: true })
  })

  test('DATABASE_OWNER_URL alone is refused: it would migrate one database and use another', () => {
    expect(refusal(() => secrets({ DATABASE_OWNER_URL: database }))).toContain(
      'goes with DATABASE_URL',
    )
  })

  test.each(['DATABASE_URL', 'DATABASE_OWNER_URL'] as const)(
    'a %s that is no Postgres URL is refused, and not repeated in the message',
    (name) => {
      const environment = { DATABASE_URL: database, [name]: 'mysql://u:hunter2@db.example/h' }
      const message = refusal(() => secrets(environment))
      expect(message).toContain(`${name}: write postgres://`)
      expect(message).not.toContain('hunter2')
    },
  )

  test('every setting that is known has a row here', () => {
    const message = refusal(() => readEnv({ HOLDFAST_X: '' }))
    const known = message.slice(message.indexOf('known are ') + 'known are '.length).split(', ')
    // The last two are the commands' own: they make no part of `Config`.
    const others = [
      'DATABASE_URL',
      'DATABASE_OWNER_URL',
      'DATABASE_URL_FILE',
      'DATABASE_OWNER_URL_FILE',
      'HOLDFAST_TOKEN',
      'HOLDFAST_TOKEN_FILE',
      // With `notify.yaml`, in `notifications.test.ts`.
      'HOLDFAST_WEBHOOK_SECRET_FILE',
      'HOLDFAST_SMTP_URL',
      'HOLDFAST_SMTP_URL_FILE',
    ]
    const named = (rows: readonly { name: string }[]) => rows.map(({ name }) => name)
    expect(new Set([...named(good), ...others])).toEqual(new Set(known))
    // A path may be anything; whether it can be used is found out when it is.
    const paths = [
      'HOLDFAST_DATA_DIR',
      'HOLDFAST_POLICIES_DIR',
      'HOLDFAST_SECRET_FILE',
      'HOLDFAST_PKCS11_PIN_FILE',
      'HOLDFAST_CHECKPOINT_KEY_FILE',
    ]
    expect(new Set([...named(bad), ...paths, ...others])).toEqual(new Set(known))
  })
})

describe('whether a path lies in the data directory', () => {
  test.each([
    { path: '/srv/holdfast/data', inside: true },
    { path: '/srv/holdfast/data/secret', inside: true },
    { path: '/srv/holdfast/data/a/../secret', inside: true },
    { path: '/srv/holdfast/data/..secret', inside: true },
    { path: '/srv/holdfast/data/../secret', inside: false },
    { path: '/srv/holdfast/data2/secret', inside: false },
    { path: '/srv/holdfast', inside: false },
    { path: '/etc/secret', inside: false },
  ])('$path: $inside', ({ path, inside }) => {
    expect(isInDataDir(config({}), path)).toBe(inside)
  })

  test('a secret file of its own is used as it is named', () => {
    expect(secretPath(config({ HOLDFAST_SECRET_FILE: '/etc/secret' }))).toBe('/etc/secret')
  })
})
