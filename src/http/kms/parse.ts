import { z } from 'zod'
import type { Received } from '../received.ts'
import { KmsError } from './errors.ts'

export type KmsCall =
  | { readonly action: 'GetPublicKey' | 'DescribeKey'; readonly keyName: string }
  | { readonly action: 'Sign'; readonly keyName: string; readonly message: Uint8Array }

/** AWS's own bound for a RAW message. */
const MAX_MESSAGE = 4096

const keyName = z.string().min(1).max(2048)
const justTheKey = z.strictObject({ KeyId: keyName })
const sign = z.strictObject({
  KeyId: keyName,
  Message: z.string().max(Math.ceil(MAX_MESSAGE / 3) * 4),
  MessageType: z.literal('RAW').optional(),
  SigningAlgorithm: z.literal('ECDSA_SHA_256'),
})

/** Of a request that may be no valid call of anything. */
export function readsPublicKey(request: Received): boolean {
  const target = request.headers.get('x-amz-target')
  return target === 'TrentService.GetPublicKey' || target === 'TrentService.DescribeKey'
}

/** Strict: a field that we do not know may change what the caller means. @throws KmsError */
export function parseKmsCall(request: Received): KmsCall {
  if (request.target.includes('?')) throw invalid('a query string is not accepted here')
  if (request.headers.get('content-type') !== 'application/x-amz-json-1.1') {
    throw invalid('the content-type must be application/x-amz-json-1.1')
  }
  switch (request.headers.get('x-amz-target') ?? '') {
    case 'TrentService.GetPublicKey':
      return { action: 'GetPublicKey', keyName: parseBody(justTheKey, request.body).KeyId }
    case 'TrentService.DescribeKey':
      return { action: 'DescribeKey', keyName: parseBody(justTheKey, request.body).KeyId }
    case 'TrentService.Sign':
      return parseSign(request.body)
    default:
      throw new KmsError(
        'UnknownOperationException',
        'known here are TrentService.GetPublicKey, TrentService.DescribeKey and TrentService.Sign',
      )
  }
}

function parseSign(body: Uint8Array): KmsCall {
  const { KeyId, Message } = parseBody(sign, body)
  return { action: 'Sign', keyName: KeyId, message: parseMessage(Message) }
}

function parseBody<T>(schema: z.ZodType<T>, body: Uint8Array): T {
  const parsed = schema.safeParse(parseJson(body))
  if (!parsed.success) throw invalid(wrongField(parsed.error.issues))
  return parsed.data
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw invalid('the body is not JSON')
  }
}

const WRONG_FIELD: Record<string, string> = {
  KeyId: 'KeyId must be the id of a key',
  Message: `Message must be base64 of 1 to ${MAX_MESSAGE} bytes`,
  MessageType: 'MessageType must be RAW: what cannot be read is not signed, so a DIGEST is refused',
  SigningAlgorithm: 'SigningAlgorithm must be ECDSA_SHA_256',
}

/** Only fields of the schema have a path, so the caller's own words are never repeated. */
function wrongField(issues: readonly z.core.$ZodIssue[]): string {
  const field = String(issues[0]?.path[0])
  return WRONG_FIELD[field] ?? 'the body must be an object of the fields of this action, no others'
}

/** One text for one message: what decodes to the same bytes but is spelled otherwise is refused. */
function parseMessage(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  const fits = bytes.length > 0 && bytes.length <= MAX_MESSAGE
  if (!fits || bytes.toString('base64') !== text) {
    throw invalid(WRONG_FIELD['Message']!)
  }
  return bytes
}

function invalid(message: string): KmsError {
  return new KmsError('ValidationException', message)
}
