// Child side of the commands only.
import type { KeyFacts } from './admin-protocol.ts'
import { curveOfParams, pointOf } from './ec-point.ts'
import {
  ATTRIBUTE,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  findObjects,
  isTrue,
  readerOf,
} from './find-key.ts'
import type { Handle, Module } from './module.ts'
import type { KeyMatch } from './uri.ts'

/** More than anybody looks at; a token shared with others may hold many keys. */
const MAX_KEYS = 1_000

export type ReadKey = { readonly handle: Handle; readonly facts: KeyFacts }

/** All private keys that match, with what the token says of them. */
export function readKeys(module: Module, session: Handle, match: KeyMatch): ReadKey[] {
  const found = findObjects(module, session, { kind: CKO_PRIVATE_KEY, match, limit: MAX_KEYS })
  return found.map((handle) => ({ handle, facts: readKey(module, session, handle) }))
}

function readKey(module: Module, session: Handle, handle: Handle): KeyFacts {
  const read = readerOf(module, session, handle)
  const answer = (type: number) => {
    const value = read(type)
    return value === null ? null : isTrue(value)
  }
  const label = Buffer.from(read(ATTRIBUTE.label) ?? []).toString('utf8')
  const id = Uint8Array.from(read(ATTRIBUTE.id) ?? [])
  return {
    label,
    id,
    curve: curveOfParams(read(ATTRIBUTE.ecParams) ?? new Uint8Array()),
    point: readPoint(module, session, { match: { label, id }, own: read(ATTRIBUTE.ecPoint) }),
    private: answer(ATTRIBUTE.private),
    sign: answer(ATTRIBUTE.sign),
    sensitive: answer(ATTRIBUTE.sensitive),
    extractable: answer(ATTRIBUTE.extractable),
    alwaysAuthenticate: answer(ATTRIBUTE.alwaysAuthenticate),
    decrypt: answer(ATTRIBUTE.decrypt),
    unwrap: answer(ATTRIBUTE.unwrap),
    derive: answer(ATTRIBUTE.derive),
    local: answer(ATTRIBUTE.local),
    alwaysSensitive: answer(ATTRIBUTE.alwaysSensitive),
    neverExtractable: answer(ATTRIBUTE.neverExtractable),
  }
}

function readPoint(
  module: Module,
  session: Handle,
  { match, own }: { match: KeyMatch; own: Uint8Array | null },
): Uint8Array | null {
  const [handle, another] = findObjects(module, session, { kind: CKO_PUBLIC_KEY, match })
  if (another !== undefined) return null
  const point = handle === undefined ? own : readerOf(module, session, handle)(ATTRIBUTE.ecPoint)
  return pointOf(point ?? new Uint8Array())
}
