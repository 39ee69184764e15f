import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { packageOf, readSource } from './imports.ts'
import type { Import, SourceFile } from './imports.ts'

/** What breaks a rule: file, line where there is one, and what it imports or uses. */
export type ArchitectureRule = (files: readonly SourceFile[]) => string[]

const list = (names: string): string[] => names.trim().split(/,\s+/)

const pureFolders = [
  'plc',
  'policy',
  'approval',
  'audit',
  'ceremony',
  'recovery',
  'words',
  'trust',
].map((name) => `src/${name}`)
/** Custody decides in files of their own, so that a decision can be made again at any later time. */
const pureFiles = [
  'judge.ts',
  'judge-quorum.ts',
  'question.ts',
  'asked-case.ts',
  'rivals.ts',
  'request.ts',
  'ports.ts',
  'events.ts',
].map((name) => `src/custody/${name}`)

/**
 * Who may import what. A file stands under the longest name that fits, and may always import its
 * own folder when that name is a folder. `type X`: only its types. `node:*`: any builtin.
 */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'src/plc': ['@atproto/crypto', '@ipld/dag-cbor', 'multiformats', 'node:crypto'],
  'src/policy': ['src/plc', '@ipld/dag-cbor', 'zod', 'node:crypto'],
  'src/policy/yaml.ts': ['src/policy/error.ts', 'yaml'],
  'src/policy/edit-roster.ts': ['src/policy', 'yaml'],
  'src/approval': list(`
    src/plc, src/policy, src/ecdsa/der.ts, src/ecdsa/error.ts, src/ecdsa/release.ts,
    @ipld/dag-cbor, zod, node:crypto`),
  'src/audit': ['src/plc', 'src/policy', '@ipld/dag-cbor', 'node:crypto'],
  // It judges what officers said by the same code as the service.
  'src/audit/verify': list(`
    src/audit, src/approval, src/plc, src/policy, src/trust, node:crypto`),
  'src/trust': list(`
    src/plc, src/policy/roster.ts, type src/policy, @ipld/dag-cbor, zod`),
  'src/words': ['@scure/bip39', 'node:crypto'],
  'src/ceremony': list(`
    src/plc, src/policy, src/approval, src/audit, @ipld/dag-cbor, zod, node:crypto`),
  'src/recovery': list(`
    src/plc, src/policy, src/approval, src/audit, src/ceremony, zod, node:crypto`),
  // Bundles on a medium, for both sides of the gap.
  'src/bundle': list(`
    src/recovery, src/ceremony, src/approval, src/ecdsa, src/files, src/plc,
    src/signer/pkcs11/probe.ts, node:fs/promises, node:path`),
  // Its splitting draws coefficients at random; nothing else here does.
  'src/ceremony/shares.ts': ['src/ceremony', 'shamir-secret-sharing'],
  'src/custody': list(`
    src/plc, src/policy, src/approval, type src/audit, node:crypto,
    src/signer/signer.ts, src/signer/release.ts, src/directory/directory.ts,
    type src/directory/submit.ts, type src/directory/follow.ts`),
  'src/store/follow-store.ts': list(`
    src/store, type src/custody, @ipld/dag-cbor, drizzle-orm`),
  'src/campaign': list(`
    src/custody, src/directory/directory.ts, type src/directory/submit.ts, src/plc,
    type src/policy, type src/files/lines.ts,
    node:timers/promises`),
  'src/ecdsa': ['src/plc', 'node:crypto'],
  'src/ecdsa/atproto.ts': ['src/plc', '@atproto/crypto'],
  'src/ecdsa/private-key.ts': ['src/plc', 'src/ecdsa', '@atproto/crypto', 'node:crypto'],
  'src/ecdsa/native.ts': ['src/plc', 'src/ecdsa', 'node:crypto', 'node:module', 'secp256k1'],
  'src/ed25519': ['node:crypto'],
  'src/directory': ['type src/plc', 'zod'],
  'src/sealing': ['node:crypto'],
  'src/notify': ['node:crypto'],
  'src/notify/mail.ts': ['src/notify', 'nodemailer'],
  'src/files': ['node:crypto', 'node:fs/promises', 'node:path'],
  'src/signer': list(`
    src/plc, type src/policy, src/policy/policy-set.ts, type src/approval, src/ecdsa, src/files,
    src/sealing, @atproto/crypto, zod, node:fs/promises, node:path`),
  'src/signer/pkcs11': list(`
    src/plc, type src/policy, src/signer/signer.ts, src/files, zod, node:crypto,
    node:fs/promises, node:path, node:timers/promises, node:buffer, type src/signer/backend.ts`),
  'src/signer/awskms': list(`
    src/plc, type src/policy, src/signer/signer.ts, src/signer/release.ts,
    type src/signer/backend.ts, src/signer/pkcs11/probe.ts, src/ecdsa, @aws-sdk/client-kms,
    node:crypto,
    node:timers/promises`),
  'src/signer/pkcs11/module.ts': ['src/signer/pkcs11', 'pkcs11js', 'node:module'],
  'src/signer/pkcs11/child-link.ts': ['src/signer/pkcs11', 'node:child_process'],
  'src/store': list(`
    src/custody/ports.ts, src/custody/request.ts, type src/custody, src/audit, src/plc, src/sealing,
    type src/directory/submit.ts, src/campaign/ledger.ts, src/sequencer/held.ts, type src/sequencer, type src/notify,
    src/policy/canonical.ts, src/policy/parse/roster.ts, src/approval/matter.ts, type src/approval,
    type src/policy, type src/signer/signer.ts, drizzle-orm, pg, node:*`),
  'src/sequencer': ['src/audit', '@ipld/dag-cbor'],
  'src/sequencer/held-file.ts': ['src/sequencer', 'node:crypto', 'node:fs/promises', 'node:path'],
  'src/sequencer/checkpoint-key.ts': list(`
    src/audit, src/files, node:crypto, node:fs/promises`),
  'src/store/put-back.ts': list(`
    src/store, type src/audit, src/plc, type src/sealing, @ipld/dag-cbor, type pg`),
  'src/api': ['src/custody/request.ts', 'src/policy/policy-set.ts', 'zod'],
  // For programs of others: nothing of the service comes with it.
  'src/client': ['type src/api', 'node:crypto', 'node:timers/promises'],
  'src/http': list(`
    src/api, src/custody, src/plc, type src/policy, src/policy/quorum.ts, src/approval, src/words,
    src/ecdsa, hono, zod, node:crypto, type node:stream`),
  'src/http/server.ts': list(`
    src/http, type hono, @hono/node-server, node:http, node:https, type node:net`),
  'src/config.ts': ['node:fs', 'node:path'],
  'src/logger.ts': ['pino'],
  'src/alarms.ts': ['type src/notify/notice.ts'],
  'src/notifications.ts': list(`
    src/config.ts, src/notify, src/policy/loopback.ts, type src/policy, src/store, node:fs`),
  'src/readiness.ts': [],
  'src/events.ts': [
    'type src/custody/events.ts',
    'type src/custody/compare.ts',
    'type src/logger.ts',
  ],
  'src/data-dir.ts': list(`
    src/config.ts, src/files, src/sealing, node:crypto, node:fs/promises, node:path`),
  'src/policy-files.ts': [
    'src/audit/note.ts',
    'src/audit/error.ts',
    'src/config.ts',
    'src/policy',
    'node:fs/promises',
    'node:path',
  ],
  'src/development.ts': list(`
    type src/config.ts, src/data-dir.ts, src/files, src/policy-files.ts, src/signer,
    type src/policy, type src/sealing, yaml, node:crypto, node:fs/promises, node:path,
    node:url`),
  'src/metrics.ts': ['prom-client'],
  'src/measured.ts': list(`
    src/custody/ports.ts, type src/custody, type src/directory, type src/metrics.ts,
    src/plc/error.ts, type src/plc, type src/policy, src/signer/signer.ts`),
  'src/use-cases.ts': list(`
    src/custody, src/directory, src/events.ts, type src/logger.ts, src/measured.ts,
    type src/metrics.ts, src/plc, type src/policy, type src/sealing, type src/sequencer,
    type src/signer, src/store, src/submit-frozen.ts, src/tampering.ts, src/trust, type src/trust-gate.ts,
    type src/witnesses.ts`),
  'src/submit-frozen.ts': list(`
    type src/audit, type src/custody, type src/policy, src/trust/freeze.ts, type src/trust-gate.ts`),
  'src/tampering.ts': ['type src/custody', 'src/store/error.ts'],
  'src/key-events.ts': list(`
    type src/audit, type src/logger.ts, type src/metrics.ts, type src/policy, src/signer/signer.ts,
    type src/signer`),
  'src/keys.ts': list(`
    type src/config.ts, src/data-dir.ts, src/measured.ts, type src/key-events.ts,
    type src/metrics.ts, src/readiness.ts, type src/plc, type src/policy, type src/sealing,
    src/signer, node:path`),
  'src/open-log.ts': list(`
    type src/config.ts, type src/logger.ts, src/audit, src/ed25519, src/in-force.ts, type src/policy,
    src/sequencer, src/store, type src/sealing,
    node:crypto, node:perf_hooks`),
  'src/in-force.ts': list(`
    src/config.ts, type src/policy, src/sequencer, src/store/policy-sets.ts, type src/store,
    src/trust`),
  'src/freeze.ts': list(`
    type src/logger.ts, type src/policy, src/sequencer/change-held.ts, type src/sequencer,
    src/store/notices.ts, src/store/policy-sets.ts, type src/store, src/trust`),
  'src/passkeys.ts': list(`
    src/approval, type src/api, type src/plc, src/policy/parse/roster.ts,
    src/policy/roster-text.ts, type src/sealing, src/store/invitations.ts, type src/store`),
  'src/witness': ['src/audit/witness.ts', 'type src/sequencer'],
  'src/witnesses.ts': list(`
    src/audit/note.ts, type src/audit, src/ed25519, type src/logger.ts, type src/open-log.ts,
    type src/policy, src/sequencer, src/store/cosigned.ts, type src/store, src/witness,
    node:timers/promises`),
  'src/trust-gate.ts': ['type src/policy', 'type src/sequencer', 'src/trust'],
  'src/context.ts': list(`
    src/open-log.ts, src/in-force.ts, src/freeze.ts, src/trust-gate.ts, type src/sequencer, node:perf_hooks,
    src/config.ts, src/data-dir.ts, src/development.ts, src/key-events.ts, src/keys.ts,
    src/measured.ts, src/metrics.ts, src/notifications.ts, src/passkeys.ts, src/witnesses.ts,
    type src/approval,
    src/custody/request.ts, type src/plc, src/readiness.ts, src/use-cases.ts, type src/logger.ts,
    src/directory, src/ecdsa,
    src/policy, type src/sealing, src/signer, src/store, type pg, node:path`),
  'src/doors.ts': list(`
    src/trust/error.ts,
    src/config.ts, type src/context.ts, src/events.ts, src/http, type src/logger.ts, src/metrics.ts,
    src/store, src/tampering.ts, type hono`),
  'src/announce.ts': list(`
    src/config.ts, type src/context.ts, src/development.ts, src/store`),
  'src/main.ts': list(`
    src/alarms.ts, src/announce.ts, src/config.ts, src/context.ts, src/doors.ts, src/jobs.ts,
    src/logger.ts, src/notifications.ts, src/store/notices.ts, src/http/server.ts, node:fs/promises`),
  'src/jobs.ts': ['type src/context.ts', 'type src/logger.ts', 'node:timers/promises'],
  'scripts/online': list(`
    src/campaign, src/config.ts, src/context.ts, src/data-dir.ts, src/development.ts,
    src/ed25519, src/files, src/logger.ts, src/main.ts, src/client, type src/api, src/custody/read-log.ts,
    src/audit, src/open-log.ts, src/sequencer, src/policy-files.ts, src/trust,
    src/custody/request.ts, src/directory, src/ecdsa/native.ts, src/plc, src/policy,
    src/approval/acceptance.ts, src/approval/officer-call.ts, src/approval/act.ts, src/approval/error.ts, type src/sealing, src/signer, src/store, src/ecdsa/release.ts,
    src/ceremony/document.ts, src/recovery/error.ts, scripts/offline/refusal.ts, scripts/offline/terminal.ts,
    node:crypto, node:fs, node:fs/promises, node:path, node:util`),
  'scripts/online/backup.ts': list(`
    scripts/online, scripts/offline/command.ts, type src/context.ts, src/ed25519, src/files, src/plc,
    src/sequencer, src/store, zod, node:crypto, node:fs/promises, node:path, node:util`),
  'scripts/online/audit': list(`
    scripts/online, scripts/offline, src/approval, src/audit, src/config.ts, type src/context.ts,
    src/ecdsa, src/files, src/open-log.ts, src/plc, src/policy-files.ts, src/sequencer, src/store,
    node:fs/promises, node:path, node:util`),
  // The online halves share everything but the key with the room.
  'scripts/online/recovery': list(`
    scripts/online, scripts/offline, src/approval, src/audit, src/bundle, src/campaign,
    src/ceremony, src/config.ts, src/development.ts, src/directory, src/ecdsa, src/files, src/plc,
    src/policy, src/recovery, src/store, node:crypto, node:fs, node:fs/promises, node:os, node:path,
    node:sqlite, node:util`),
  // An officer's own key lies on the officer's own machine, in a file of age or on a token.
  'scripts/online/officer-key.ts': list(`
    scripts/online/command.ts, scripts/online/officers/options.ts, src/approval, src/config.ts,
    src/ecdsa, src/plc, src/signer/pkcs11,
    scripts/offline, node:crypto, node:fs/promises`),
  'scripts/online/officers': list(`
    scripts/online, src/api, src/approval, src/client, src/config.ts,
    src/custody/read-log.ts, src/directory, src/ecdsa, src/files, src/plc, src/policy,
    src/policy-files.ts, src/signer/pkcs11, src/trust, src/words, scripts/offline, node:crypto,
    node:fs/promises, node:util`),
  // What is in force is changed at the host's terminal, or by files that officers have signed.
  'scripts/online/trust': list(`
    scripts/online, src/audit, src/approval, src/config.ts, type src/context.ts, src/in-force.ts,
    src/open-log.ts, src/ecdsa, src/files, src/plc, src/policy, src/policy-files.ts, src/sequencer, src/store, src/trust, src/words,
    scripts/offline, node:fs/promises, node:path, node:timers/promises, node:util`),
  'scripts/online/verify': list(`
    ${pureFolders.join(', ')}, src/ecdsa, src/ed25519, src/sequencer/held.ts, node:fs,
    node:os, node:util, node:worker_threads`),
  'scripts/holdfast.ts': ['scripts/online', 'scripts/drill', 'node:util'],
  // It stands on the real PDS and PLC server, which the end-to-end tests bring along.
  'scripts/drill': list(`
    src, scripts/online/command.ts, test/support, test/e2e/support, node:*`),
  // Air-gapped: what it reaches is bounded further by a rule of its own.
  'scripts/offline': list(`
    src/ceremony, src/words, src/plc, src/recovery, src/bundle, src/audit, src/policy, src/ecdsa, src/ed25519, src/files, src/signer/signer.ts,
    src/signer/pkcs11, node:crypto, node:fs/promises, node:os, node:path, node:url, node:util`),
  'scripts/offline/age.ts': ['age-encryption'],
  'scripts/ceremony.ts': ['scripts/offline'],
  'scripts/build-ceremony.ts': list(`
    esbuild, node:crypto, node:fs/promises, node:module, node:path, node:url, node:util`),
  // It measures the service from outside and the store from inside.
  'scripts/bench': list(`
    src, scripts/online/verify, test/support, test/approval/cases.ts, test/policy/cases.ts,
    drizzle-orm, type pg, node:*`),
  'scripts/fuzz': ['src/plc', 'src/client', 'test/support', 'test/e2e/support', 'node:*'],
  // The launchers run before anything is installed.
  'scripts/*.mjs': ['node:*'],
}

const launchers = 'scripts/*.mjs'
const network = ['http', 'https', 'http2', 'net', 'tls', 'dns', 'dgram'].map(
  (name) => `node:${name}`,
)
const networkGlobals = ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest']

/** The one place of each dependency; `type X` where only its types may be named. */
const owners: Readonly<Record<string, readonly string[]>> = {
  'drizzle-orm': ['src/store', 'scripts/bench'],
  pg: ['src/store', 'type src/context.ts', 'type scripts/bench'],
  hono: ['src/http', 'type src/doors.ts'],
  '@hono/node-server': ['src/http/server.ts'],
  '@scure/bip39': ['src/words'],
  'age-encryption': ['scripts/offline/age.ts'],
  'shamir-secret-sharing': ['src/ceremony/shares.ts'],
  pino: ['src/logger.ts'],
  'prom-client': ['src/metrics.ts'],
  nodemailer: ['src/notify/mail.ts'],
  yaml: ['src/policy/yaml.ts', 'src/policy/edit-roster.ts', 'src/development.ts'],
  secp256k1: ['src/ecdsa/native.ts'],
  '@atproto/crypto': ['src/plc', 'src/ecdsa', 'src/signer'],
  '@did-plc/lib': [],
  '@aws-sdk/client-kms': ['src/signer/awskms/client.ts', 'src/signer/awskms/admin.ts'],
  'node:process': [],
  esbuild: ['scripts/build-ceremony.ts'],
  pkcs11js: ['src/signer/pkcs11/module.ts'],
  'node:module': list(`
    src/ecdsa/native.ts, src/store/private-server-binaries.ts, src/signer/pkcs11/module.ts,
    scripts/build-ceremony.ts`),
  'node:child_process': [
    'src/store/private-server-program.ts',
    'src/signer/pkcs11/child-link.ts',
    'scripts/bench',
    'scripts/fuzz',
    launchers,
  ],
  ...Object.fromEntries(network.map((name) => [name, ['src/http/server.ts', 'scripts/bench']])),
}

const globalOwners: Readonly<Record<string, readonly string[]>> = {
  fetch: ['src/directory', 'src/witness', 'src/notify/webhook.ts', 'src/client', 'scripts/fuzz'],
  process: [],
  // Commands and launchers hand the environment on; `config.ts` says what may stand in it.
  'process.env': ['scripts/online', 'scripts/ceremony.ts', launchers],
  eval: [],
  Function: [],
  globalThis: [],
  global: [],
}

/** A proof type is cast where its checks have run, and nowhere else. */
const producers: Readonly<Record<string, readonly string[]>> = {
  SigningBytes: ['src/plc/encode.ts'],
  VerifiedLog: ['src/plc/log.ts'],
  VerifiedApproval: ['src/approval/verify.ts'],
  Authorized: ['src/approval/authorize.ts'],
  // The benchmark's floor uses a key of its own without a service; see `intentFor` there.
  VerifiedCheckpoint: ['src/audit/checkpoint.ts'],
  CommittedIntent: [
    'src/store/claim.ts',
    'scripts/bench/audit-service.ts',
    'scripts/bench/sign.ts',
  ],
  VerifiedSignature: ['src/signer/release.ts'],
  DerivedOperation: ['src/recovery/derive.ts'],
  TrustedIntent: ['src/recovery/trusted.ts'],
  ApprovedIntent: ['src/recovery/trusted.ts'],
  SignedRecovery: ['src/recovery/result.ts'],
  RecordedOperation: ['src/store/submission.ts', 'src/store/recovery-ledger.ts'],
}

const MAX_LINES = 400
const catchAll = /^(utils?|common|misc|helpers?)(\.|$)/

export const architectureRules: Readonly<Record<string, ArchitectureRule>> = {
  'imports follow the allow-list': (files) =>
    eachImport(files, ({ file }, found) => {
      const unit = unitOf(file)
      if (unit === null) return 'has no entry in the allow-list'
      if (unit === launchers && isLauncher(found.target)) return null
      const own = unit.endsWith('.ts') ? [] : [unit]
      return permits([...own, ...(allowed[unit] ?? [])], found.target, found.typeOnly)
        ? null
        : `${unit} may not import ${label(found)}`
    }),

  'every import leads to a file that is there': (files) => {
    const known = new Set(files.map(({ file }) => file))
    return eachImport(files, (_source, { target }) =>
      /^(src|scripts)\//.test(target) && !known.has(target) ? `imports ${target}, not found` : null,
    )
  },

  'PURE code has no clock, chance, environment, network or terminal': (files) =>
    files
      .filter(isPure)
      .flatMap(({ file, globals }) =>
        globals.map(({ name, line }) => `${file}:${line}: uses ${name}`),
      ),

  'PURE code takes hashing and nothing else from node:crypto': (files) =>
    eachImport(files.filter(isPure), (_source, { target, names }) => {
      const other = names.filter((name) => !['hash', 'createHash'].includes(name))
      if (target !== 'node:crypto' || other.length === 0) return null
      return `takes ${other.join(', ')} from node:crypto`
    }),

  'each dependency has one owner': (files) => [
    ...eachImport(files, ({ file }, found) => {
      const places = owners[packageOf(found.target) ?? found.target]
      if (places === undefined || places.some((place) => owns(place, file, found.typeOnly))) {
        return null
      }
      return `imports ${label(found)}, which belongs to ${places.join(', ') || 'nobody'}`
    }),
    ...files.flatMap(({ file, globals }) =>
      globals.flatMap(({ name, line }) => {
        const places = globalOwners[name]
        if (places === undefined || places.some((place) => owns(place, file, false))) return []
        return [`${file}:${line}: uses ${name}, which belongs to ${places.join(', ') || 'nobody'}`]
      }),
    ),
  ],

  'nothing imports http but the doors, main and http itself': (files) =>
    eachImport(files, ({ file }, found) => {
      const users = ['src/http', 'src/doors.ts', 'src/main.ts', 'scripts/bench']
      if (!within('src/http', found.target) || users.some((user) => within(user, file))) return null
      return `imports ${label(found)}`
    }),

  'scripts/online/verify reaches no network and no database': (files) => {
    const may = list(`
    node:fs, node:os, node:util, node:worker_threads, node:crypto, node:module, secp256k1, @atproto/crypto, @ipld/dag-cbor,
    multiformats, zod, yaml`)
    return reachedFrom(files, 'scripts/online/verify').flatMap(({ source, path }) => [
      ...eachImport([source], (_source, { target }) => {
        const outside = packageOf(target) ?? (target.startsWith('node:') ? target : null)
        return outside === null || may.includes(outside) ? null : `imports ${target} (${path})`
      }),
      ...source.globals
        .filter(({ name }) => networkGlobals.includes(name) || name === 'process.env')
        .map(({ name, line }) => `${source.file}:${line}: uses ${name} (${path})`),
    ])
  },

  'scripts/offline reaches no network and no database': (files) => {
    const may = list(`
    node:fs, node:fs/promises, node:crypto, node:module, node:path, node:os, node:url, node:util,
    node:buffer, node:timers/promises, node:child_process, secp256k1, pkcs11js, @atproto/crypto,
    @ipld/dag-cbor, multiformats, zod, yaml, @scure/bip39, age-encryption, shamir-secret-sharing`)
    // The children that hold a token's module are named by their file, not imported.
    const children = ['src/signer/pkcs11/admin-child.ts', 'src/signer/pkcs11/child.ts']
    return reachedFrom(files, 'scripts/ceremony.ts', ...children).flatMap(({ source, path }) => [
      ...eachImport([source], (_source, { target }) => {
        const outside = packageOf(target) ?? (target.startsWith('node:') ? target : null)
        return outside === null || may.includes(outside) ? null : `imports ${target} (${path})`
      }),
      ...source.globals
        .filter(({ name }) => networkGlobals.includes(name))
        .map(({ name, line }) => `${source.file}:${line}: uses ${name} (${path})`),
    ])
  },

  "a vendor's PKCS#11 module is never loaded into the service's own process": (files) => {
    const values = files.map((source) => ({
      ...source,
      imports: source.imports.filter(({ typeOnly }) => !typeOnly),
    }))
    // Every command and the service itself.
    return reachedFrom(values, 'scripts/holdfast.ts').flatMap(({ source, path }) =>
      eachImport([source], (_source, { target }) =>
        packageOf(target) === 'pkcs11js' ? `imports ${target} (${path})` : null,
      ),
    )
  },

  'the service reaches no code that makes keys in an HSM or in AWS KMS': (files) => {
    const makers = ['src/signer/awskms/admin.ts', 'src/signer/pkcs11/admin.ts']
    return reachedFrom(files, 'src/main.ts').flatMap(({ source, path }) =>
      eachImport([source], (_source, { target, typeOnly }) =>
        makers.includes(target) && !typeOnly ? `imports ${target} (${path})` : null,
      ),
    )
  },

  'a proof type is cast by its producer alone': (files) => {
    const declared = files.flatMap((source) =>
      source.proofs.map((name) => ({ name, file: source.file })),
    )
    const names = [...declared.map(({ name }) => name), 'Proof', 'any', 'never']
    return [
      ...declared
        .filter(({ name }) => producers[name] === undefined)
        .map(({ name, file }) => `${file}: the proof type ${name} has no producer named here`),
      ...files.flatMap(({ file, casts }) =>
        casts
          .filter(({ name }) => names.includes(name) && !producers[name]?.includes(file))
          .map(({ name, line }) => `${file}:${line}: casts to ${name}`),
      ),
      ...Object.entries(producers).flatMap(([name, places]) =>
        places
          .filter((place) => !castsTo(files, place, name))
          .map((place) => `${place}: is named as a producer of ${name} and casts none`),
      ),
    ]
  },

  'there are no import cycles': findCycles,

  'no file or folder is a catch-all': (files) =>
    files
      .filter(({ file }) => file.split('/').some((part) => catchAll.test(part)))
      .map(({ file }) => `${file}: say what it is for`),

  'no file is longer than anybody reads at once': (files) =>
    files
      .filter(({ file, lines }) => file.startsWith('src/') && lines > MAX_LINES)
      .map(({ file, lines }) => `${file}: ${lines} lines; at most ${MAX_LINES}`),
}

/** Every TypeScript file of the product, and the launchers that run before there is any. */
export async function readProduct(): Promise<SourceFile[]> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const found = await Promise.all(
    ['src', 'scripts'].map(async (folder) =>
      (await readdir(`${root}/${folder}`, { recursive: true }))
        .map((name) => `${folder}/${name}`)
        .filter((name) => /\.(ts|mjs)$/.test(name) && !name.includes('/node_modules/')),
    ),
  )
  return await Promise.all(
    found
      .flat()
      .sort()
      .map(async (file) => readSource(file, await readFile(`${root}/${file}`, 'utf8'))),
  )
}

function eachImport(
  files: readonly SourceFile[],
  check: (source: SourceFile, found: Import) => string | null,
): string[] {
  return files.flatMap((source) =>
    source.imports.flatMap((found) => {
      const problem = check(source, found)
      return problem === null ? [] : [`${source.file}: ${problem}`]
    }),
  )
}

function unitOf(file: string): string | null {
  const fitting = Object.keys(allowed).filter((unit) => within(unit, file))
  const [longest] = fitting.sort((a, b) => b.length - a.length)
  return longest ?? (isLauncher(file) ? launchers : null)
}

function within(place: string, file: string): boolean {
  return file === place || file.startsWith(`${place}/`)
}

function permits(tokens: readonly string[], target: string, typeOnly: boolean): boolean {
  return tokens.some((token) => {
    const name = token.replace(/^type /, '')
    if (name !== token && !typeOnly) return false
    if (name === 'node:*') return target.startsWith('node:')
    return within(name, target) || packageOf(target) === name
  })
}

const isLauncher = (file: string) => /^scripts\/[^/]+\.mjs$/.test(file)

/** `scripts/online` owns nothing for `verify` in it, which needs no configuration. */
function owns(place: string, file: string, typeOnly: boolean): boolean {
  const name = place.replace(/^type /, '')
  if (name !== place && !typeOnly) return false
  if (name === launchers) return isLauncher(file)
  return within(name, file) && !(name === 'scripts/online' && within('scripts/online/verify', file))
}

const label = ({ target, typeOnly }: Import) => (typeOnly ? `types of ${target}` : target)

function isPure({ file }: SourceFile): boolean {
  return pureFolders.some((folder) => within(folder, file)) || pureFiles.includes(file)
}

function castsTo(files: readonly SourceFile[], place: string, name: string): boolean {
  const source = files.find(({ file }) => file === place)
  return source?.casts.some((cast) => cast.name === name) ?? false
}

function reachedFrom(files: readonly SourceFile[], ...places: readonly string[]) {
  const reached = new Map<string, { source: SourceFile; path: string }>()
  const visit = (source: SourceFile, path: string) => {
    if (reached.has(source.file)) return
    reached.set(source.file, { source, path })
    for (const { target } of source.imports) {
      const next = files.find(({ file }) => file === target)
      if (next !== undefined) visit(next, `${path} → ${target}`)
    }
  }
  for (const place of places) {
    for (const source of files.filter(({ file }) => within(place, file))) visit(source, source.file)
  }
  return [...reached.values()]
}

/** Each cycle once, from the file of it that is reached first. */
function findCycles(files: readonly SourceFile[]): string[] {
  const byName = new Map(files.map((source) => [source.file, source]))
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, path: readonly string[]) => {
    const start = path.indexOf(file)
    if (start !== -1) cycles.push([...path.slice(start), file].join(' → '))
    if (start !== -1 || done.has(file)) return
    for (const { target } of byName.get(file)?.imports ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const { file } of files) visit(file, [])
  return cycles
}
