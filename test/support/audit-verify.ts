import { vi } from 'vitest'
import * as dagCbor from '@ipld/dag-cbor'
import { auditVerify } from '../../scripts/online/verify/audit/verify.ts'

/** Runs `holdfast audit verify` as an auditor does; what it wrote, and its exit code. */
export async function runAuditVerify(
  dir: string,
  ...args: string[]
): Promise<{ code: number; text: string }> {
  const written: string[] = []
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((text) => written.push(String(text)) > 0),
  )
  try {
    const code = await auditVerify([dir, ...args])
    return { code, text: written.join('') }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

export type Fields = Record<string, unknown>

export const fieldsOf = (body: Uint8Array): Fields => dagCbor.decode<Fields>(body)
export const bodyOf = (fields: Fields): Uint8Array => new Uint8Array(dagCbor.encode(fields))
