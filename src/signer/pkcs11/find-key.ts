// Child side only.
import { CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID } from './ckr.ts'
import { curveOfParams, pointOf } from './ec-point.ts'
import { ckrOf } from './module.ts'
import type { Handle, Module } from './module.ts'
import type { KeyFault, KeySpec } from './protocol.ts'
import type { KeyMatch } from './uri.ts'

export type FoundKey =
  | { readonly fault: null; readonly handle: Handle }
  | { readonly fault: KeyFault; readonly point: Uint8Array | null }

/** The attributes of CKA_* that are asked of a key. */
export const ATTRIBUTE = {
  class: 0x00,
  token: 0x01,
  private: 0x02,
  label: 0x03,
  value: 0x11,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  decrypt: 0x105,
  unwrap: 0x107,
  sign: 0x108,
  signRecover: 0x109,
  verify: 0x10a,
  derive: 0x10c,
  extractable: 0x162,
  local: 0x163,
  neverExtractable: 0x164,
  alwaysSensitive: 0x165,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const

export const CKO_PUBLIC_KEY = 2
export const CKO_PRIVATE_KEY = 3
export const CKK_EC = 3

/**
 * The key that `spec` names, if it is the pinned one and nobody can take it out of the token. Nothing
 * here proves that the private half belongs to the public one: the first signature does, at release.
 */
export function findKey(module: Module, session: Handle, spec: KeySpec): FoundKey {
  const fail = (fault: KeyFault, point: Uint8Array | null = null) => ({ fault, point })
  const [handle, another] = findObjects(module, session, {
    kind: CKO_PRIVATE_KEY,
    match: spec.match,
  })
  if (handle === undefined) return fail('missing')
  if (another !== undefined) return fail('ambiguous')
  const read = readerOf(module, session, handle)
  const fault = faultOf(read)
  if (fault !== null) return fail(fault)
  const publicKey = readPublicKey(module, session, { match: spec.match, read })
  if (typeof publicKey === 'string') return fail(publicKey)
  if (curveOfParams(publicKey.params) !== spec.curve) return fail('curve')
  // Equal to a pinned point, which is on its curve, so this one is too.
  if (Buffer.compare(publicKey.point, spec.point) !== 0) return fail('mismatch', publicKey.point)
  return { fault: null, handle }
}

type Read = (attribute: number) => Uint8Array | null

/** What the token does not say counts against the key. */
function faultOf(read: Read): KeyFault | null {
  if (!isNumber(read(ATTRIBUTE.keyType), CKK_EC)) return 'curve'
  if (!isTrue(read(ATTRIBUTE.sign))) return 'not-sign'
  if (!isTrue(read(ATTRIBUTE.sensitive))) return 'not-sensitive'
  const extractable = read(ATTRIBUTE.extractable)
  if (extractable === null || isTrue(extractable)) return 'extractable'
  return isTrue(read(ATTRIBUTE.alwaysAuthenticate)) ? 'always-authenticate' : null
}

/** The public object of the same name; some tokens keep the point on the private one instead. */
function readPublicKey(
  module: Module,
  session: Handle,
  { match, read }: { match: KeyMatch; read: Read },
): { params: Uint8Array; point: Uint8Array } | KeyFault {
  const [handle, another] = findObjects(module, session, { kind: CKO_PUBLIC_KEY, match })
  if (another !== undefined) return 'ambiguous'
  const readPublic = handle === undefined ? read : readerOf(module, session, handle)
  const point = pointOf(readPublic(ATTRIBUTE.ecPoint) ?? new Uint8Array())
  const params = readPublic(ATTRIBUTE.ecParams) ?? read(ATTRIBUTE.ecParams)
  return point === null || params === null ? 'no-point' : { params, point }
}

/** At most two: one more than there may be. */
export function findObjects(
  module: Module,
  session: Handle,
  { kind, match, limit = 2 }: { kind: number; match: KeyMatch; limit?: number },
): Handle[] {
  const template = [
    { type: ATTRIBUTE.class, value: kind },
    { type: ATTRIBUTE.token, value: true },
    ...(match.label === null ? [] : [{ type: ATTRIBUTE.label, value: Buffer.from(match.label) }]),
    ...(match.id === null ? [] : [{ type: ATTRIBUTE.id, value: Buffer.from(match.id) }]),
  ]
  module.C_FindObjectsInit(session, template)
  const found: Handle[] = []
  try {
    while (found.length < limit) {
      const more = module.C_FindObjects(session, limit - found.length)
      if (more.length === 0) break
      found.push(...more)
    }
  } finally {
    module.C_FindObjectsFinal(session)
  }
  return found
}

/** One attribute at a time: a token that lacks one refuses the whole list. */
export function readerOf(module: Module, session: Handle, object: Handle): Read {
  return (type) => {
    try {
      const [attribute] = module.C_GetAttributeValue(session, object, [{ type }])
      return attribute?.value instanceof Uint8Array ? attribute.value : null
    } catch (error) {
      const ckr = ckrOf(error)
      if (ckr === CKR_ATTRIBUTE_TYPE_INVALID || ckr === CKR_ATTRIBUTE_SENSITIVE) return null
      throw error
    }
  }
}

/** CK_BBOOL */
export function isTrue(value: Uint8Array | null): boolean {
  return value !== null && value.length === 1 && value[0] === 1
}

/** CK_ULONG, in this machine's width and byte order, as the array types have it too. */
function isNumber(value: Uint8Array | null, wanted: number): boolean {
  if (value === null) return false
  const { buffer } = Uint8Array.from(value)
  if (value.length === 8) return new BigUint64Array(buffer)[0] === BigInt(wanted)
  return value.length === 4 && new Uint32Array(buffer)[0] === wanted
}
