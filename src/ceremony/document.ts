import { hash } from 'node:crypto'
import { encode } from '@ipld/dag-cbor'
import type { z } from 'zod'

/** Above any list of 255 shares. */
const MAX_DOCUMENT_CHARACTERS = 256 * 1024

/** A public record that the key it speaks of has signed: JSON that people can read. */
export type SignedDocument = {
  readonly format: string
  readonly did: string
  readonly proof: string
}

export class DocumentError extends Error {
  override readonly name = 'DocumentError'
  readonly code = 'document-malformed'
}

/** The one text of a document. */
export function renderDocument(document: SignedDocument): string {
  return `${JSON.stringify(document, null, 2)}\n`
}

/**
 * Strict, and only the one text: a changed byte anywhere is either refused here or breaks the proof.
 * Whoever uses it checks `proof` over `possessionChallenge`.
 * @throws DocumentError naming the file and the field
 */
export function parseDocument<T extends z.ZodType<SignedDocument>>(
  schema: T,
  text: string,
  file: string,
): z.infer<T> {
  const parsed = schema.safeParse(jsonOf(text, file))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const path = issue === undefined || issue.path.length === 0 ? '' : ` ${issue.path.join('.')}:`
    throw new DocumentError(`${file}:${path} ${issue?.message ?? 'not understood'}`)
  }
  if (renderDocument(parsed.data) !== text) {
    throw new DocumentError(`${file}: was changed: it is not written as it is when it is made`)
  }
  return parsed.data
}

/**
 * 32 bytes that commit to every field but the proof. The key signs them inside a proof of possession,
 * which can be no operation.
 */
export function possessionChallenge(document: SignedDocument): Uint8Array {
  const { proof: _, ...body } = document
  const domain = Buffer.from(`${body.format}\0`, 'utf8')
  return new Uint8Array(hash('sha256', Buffer.concat([domain, encode(body)]), 'buffer'))
}

function jsonOf(text: string, file: string): unknown {
  if (text.length > MAX_DOCUMENT_CHARACTERS) throw new DocumentError(`${file}: is too long`)
  try {
    return JSON.parse(text)
  } catch {
    throw new DocumentError(`${file}: is not JSON`)
  }
}
