import { proposal } from '../../api/request.ts'
import { signingBytes } from '../../plc/encode.ts'
import { PlcError } from '../../plc/error.ts'
import { parseUnsignedOperation } from '../../plc/operation.ts'
import { ProblemError } from '../problem.ts'
import type { Received } from '../received.ts'

/** The id of a key, and the message it is to sign. */
export type ProposalBody = { readonly keyId: string; readonly message: Uint8Array }

/** @throws ProblemError `unsupported-media-type`, `malformed` */
export function parseProposal(request: Received): ProposalBody {
  const body = parseJson(request)
  const parsed = proposal.safeParse(body)
  if (!parsed.success) {
    throw malformed(
      'the body must have "key" and either "operation" (one unsigned PLC operation as JSON) or ' +
        '"unsigned" (its canonical DAG-CBOR as base64), and no other field',
    )
  }
  const { data } = parsed
  const message =
    'unsigned' in data
      ? parseBase64(data.unsigned)
      : encode((body as { operation: unknown }).operation)
  return { keyId: data.key, message }
}

/** An action says everything in its path. @throws ProblemError `malformed` */
export function refuseBody({ body }: Received): void {
  if (body.length > 0) throw malformed('this call takes no body')
}

export function parseJson({ headers, body }: Received): unknown {
  const type = headers.get('content-type') ?? ''
  if (!/^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i.test(type)) {
    throw new ProblemError('unsupported-media-type', 'the content-type must be application/json')
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw malformed('the body is not JSON')
  }
}

/**
 * From what was received and not from the schema's copy of it, which has no place for a field named
 * `__proto__`.
 */
function encode(operation: unknown): Uint8Array {
  try {
    return signingBytes(parseUnsignedOperation(operation))
  } catch (error) {
    if (error instanceof PlcError) throw malformed(error.message)
    throw error
  }
}

/** One text for one message: what decodes to the same bytes but is spelled otherwise is refused. */
function parseBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw malformed('"unsigned" must be canonical base64')
  return bytes
}

function malformed(detail: string): ProblemError {
  return new ProblemError('malformed', detail)
}
