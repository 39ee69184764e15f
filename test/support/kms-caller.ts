import { Agent, request } from 'node:http'
import { derToCompact } from '../../src/ecdsa/der.ts'
import { signingBytes } from '../../src/plc/encode.ts'
import type { UnsignedOperation } from '../../src/plc/operation.ts'
import { kmsCall, signRequest } from './aws-client.ts'
import type { AccessKey, Signed } from './aws-client.ts'

/** What the KMS door answered: a signature, or the AWS error. */
export type KmsAnswer =
  | { readonly status: 200; readonly compact: Uint8Array }
  | { readonly status: number; readonly code: string; readonly message: string }

/**
 * Asks a KMS door to sign, as a PDS does, over kept connections. The SDK takes ten times the time of
 * the door itself; what it puts on the wire is the same (`test/http/sigv4` compares the two).
 */
export function kmsCaller(url: string, key: AccessKey) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const { host } = new URL(url)
  /** Everything is ready but the sending, so that two calls can start together. */
  function prepare(operation: UnsignedOperation): () => Promise<KmsAnswer> {
    const input = {
      KeyId: 'pds',
      Message: Buffer.from(signingBytes(operation)).toString('base64'),
      MessageType: 'RAW',
      SigningAlgorithm: 'ECDSA_SHA_256',
    }
    const call = kmsCall('Sign', input, key)
    const signed = signRequest({ ...call, headers: { ...call.headers, host } })
    return async () => answerOf(await send(signed))
  }

  return {
    prepare,
    sign: async (operation: UnsignedOperation) => await prepare(operation)(),
    close: () => agent.destroy(),
  }

  async function send(signed: Signed): Promise<{ status: number; body: string }> {
    return await new Promise((resolve, reject) => {
      const sent = request(new URL(signed.target, url), {
        agent,
        method: signed.method,
        headers: Object.fromEntries(signed.headers),
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        )
      })
      sent.end(signed.body)
    })
  }
}

function answerOf({ status, body }: { status: number; body: string }): KmsAnswer {
  const answer = JSON.parse(body) as { Signature?: string; __type?: string; message?: string }
  if (answer.Signature !== undefined) {
    return { status: 200, compact: derToCompact(Buffer.from(answer.Signature, 'base64')) }
  }
  return { status, code: answer.__type ?? '', message: answer.message ?? '' }
}
