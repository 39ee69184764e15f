import { randomBytes } from 'node:crypto'
import { callPreimage, formatCallAuthorization } from '../../../src/approval/officer-call.ts'
import { createClient } from '../../../src/client/client.ts'
import type { HoldfastClient } from '../../../src/client/client.ts'
import type { CallSigner } from '../../../src/client/transport.ts'
import { ConfigError, isLoopback, readEnv, toConfig } from '../../../src/config.ts'
import type { OfficerKey } from '../officer-key.ts'
import { toBase, urlOf } from '../service-client.ts'

/**
 * A client for an officer, who signs each call. The service is known by its public origin, which is
 * signed too: HOLDFAST_PUBLIC_URL, or the origin that is called (`localhost` for this machine).
 * @throws ConfigError
 */
export function openOfficerClient(
  url: string | undefined,
  key: OfficerKey,
): { readonly client: HoldfastClient; readonly audience: string } {
  const config = toConfig(readEnv(process.env), process.cwd())
  const base = toBase(url ?? config.publicUrl ?? urlOf(config))
  if (base.protocol === 'http:' && !isLoopback(base.hostname)) {
    throw new ConfigError('--url: an officer calls over https only, or this machine')
  }
  const audience = config.publicUrl ?? originOf(base)
  return {
    client: createClient({ url: base.href, credential: callSigner(key, audience) }),
    audience,
  }
}

function originOf(base: URL): string {
  if (!isLoopback(base.hostname.replace(/^\[|\]$/g, ''))) return base.origin
  return new URL(base.href.replace(base.host, `localhost:${base.port}`)).origin
}

function callSigner(key: OfficerKey, audience: string): CallSigner {
  return {
    signCall: async (call) => {
      const time = Math.floor(Date.now() / 1000)
      const nonce = Uint8Array.from(randomBytes(16))
      const signature = await key.sign(callPreimage({ audience, ...call, time, nonce }))
      return formatCallAuthorization({ did: key.did, time, nonce, signature })
    },
  }
}
