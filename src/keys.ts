import type { Config } from './config.ts'
import { keysDir, latchDir } from './data-dir.ts'
import { measuredSigner } from './measured.ts'
import type { KeyEvents } from './key-events.ts'
import type { Metrics } from './metrics.ts'
import type { EcdsaVerify } from './plc/signature.ts'
import type { PolicySet } from './policy/policy-set.ts'
import type { Part } from './readiness.ts'
import { NotReady } from './readiness.ts'
import type { Sealer } from './sealing/sealer.ts'
import { describeHealth } from './signer/backend.ts'
import { createBackends, schemeOf } from './signer/backends.ts'
import type { Backends } from './signer/backends.ts'
import { createAwsKmsBackend } from './signer/awskms/backend.ts'
import { createFileBackend } from './signer/file.ts'
import { createPkcs11Backend } from './signer/pkcs11/backend.ts'
import { moduleEnvironment } from './signer/pkcs11/environment.ts'
import type { Signer } from './signer/signer.ts'

export type OpenKeys = {
  readonly signers: ReadonlyMap<string, Signer>
  readonly backends: Backends
}

export type KeyParts = {
  readonly config: Config
  readonly sealer: Sealer
  readonly policies: PolicySet
  readonly environment: NodeJS.ProcessEnv
  readonly metrics: Metrics
  readonly events: KeyEvents
  readonly verify: EcdsaVerify
}

/**
 * Every online key in force, opened where it lives and proven to be the pinned one.
 * @throws SignerError `key-unusable`, naming the key
 */
export async function openKeys(
  parts: KeyParts,
  wrapSigner: (signer: Signer) => Signer = (signer) => signer,
): Promise<OpenKeys> {
  const backends = createKeyBackends(parts)
  const signers = new Map<string, Signer>()
  try {
    for (const key of parts.policies.keys) {
      if (key.class !== 'online' || key.retired === true) continue
      signers.set(key.id, wrapSigner(await backends.open(key)))
    }
  } catch (error) {
    await backends.close()
    throw error
  }
  parts.events.watch(() => backends.health())
  return { signers, backends }
}

function createKeyBackends({ config, sealer, environment, metrics, events, verify }: KeyParts) {
  return createBackends(
    {
      file: createFileBackend({ dir: keysDir(config), sealer }),
      pkcs11: createPkcs11Backend({
        latchDir: latchDir(config),
        environment: moduleEnvironment(environment),
        pinFile: config.pkcs11PinFile,
        report: events.onPlaceState,
      }),
      awskms: createAwsKmsBackend({ verify, report: events.onPlaceState }),
    },
    {
      verify,
      onTakeOver: events.onTakeOver,
      wrap: (signer, uri) => measuredSigner(metrics, schemeOf(uri), signer),
    },
  )
}

/** Open to everyone, so it says what is wrong without names; the log has those. */
export function keysPart({ signers, backends }: OpenKeys): Part {
  return {
    name: 'keys',
    check: async (signal) => {
      try {
        await Promise.all([...signers.values()].map(async (signer) => await signer.check(signal)))
      } catch (cause) {
        const reason = describeHealth(backends.health()) ?? 'a key cannot be used now'
        throw new NotReady(reason, { cause })
      }
    },
  }
}
