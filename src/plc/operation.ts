import { malformed, plainObject, ShapeReader } from './shape.ts'

export type Service = { type: string; endpoint: string }

export type PlcOperation = {
  type: 'plc_operation'
  /** `did:key`, the one of most authority first. */
  rotationKeys: string[]
  /** Without a prototype when parsed: any id is an ordinary entry. So are `services`. */
  verificationMethods: Record<string, string>
  alsoKnownAs: string[]
  services: Record<string, Service>
  /** CID of the signed operation that this one follows; null for a genesis. */
  prev: string | null
}

export type Tombstone = { type: 'plc_tombstone'; prev: string }

/** Genesis only, in old logs for ever; the directory takes no new ones and we never build one. */
export type LegacyCreate = {
  type: 'create'
  signingKey: string
  recoveryKey: string
  handle: string
  service: string
  prev: null
}

/** All that we ever sign. */
export type UnsignedOperation = PlcOperation | Tombstone
export type SignedOperation = (PlcOperation | Tombstone | LegacyCreate) & { sig: string }
export type OperationData = Pick<
  PlcOperation,
  'rotationKeys' | 'verificationMethods' | 'alsoKnownAs' | 'services'
>

/** The directory's own bound of a request body; old operations may be far above today's 4000 bytes. */
export const MAX_SIGNED_BYTES = 100_000
/** 4000 signed bytes, less the 92 of the `sig` entry. */
export const MAX_UNSIGNED_BYTES = 3908

const OPERATION_FIELDS = [
  'type',
  'rotationKeys',
  'verificationMethods',
  'alsoKnownAs',
  'services',
  'prev',
] as const
const LEGACY_FIELDS = ['type', 'signingKey', 'recoveryKey', 'handle', 'service', 'prev'] as const
const TOMBSTONE_FIELDS = ['type', 'prev'] as const

// CIDv1, base32, dag-cbor, sha-256. The last of the 58 digits carries two pad bits, which must be zero.
const CID_PATTERN = /^bafyrei[a-h][a-z2-7]{50}[aeimquy4]$/

/**
 * Shape of what we build and sign: known types, exact fields, a canonical `prev`. How many keys, names
 * and services it may hold is the business of `checkLimits`, which names the rule that is broken.
 * @throws PlcError `malformed`, `too-large`
 */
export function parseUnsignedOperation(value: unknown): UnsignedOperation {
  const reader = new ShapeReader(MAX_SIGNED_BYTES)
  const type = operationType(value)
  switch (type) {
    case 'plc_operation': {
      const fields = reader.fields(value, type, OPERATION_FIELDS)
      const prev = fields.prev === null ? null : parsePrev(fields.prev)
      return { type, ...readData(reader, fields), prev }
    }
    case 'plc_tombstone':
      return { type, prev: parsePrev(reader.fields(value, type, TOMBSTONE_FIELDS).prev) }
    case 'create':
      throw malformed('a legacy "create" is never built or signed')
  }
}

/**
 * Shape of anything a log may hold. No limit but the parser's guard, for the directory's own limits
 * were added over time; `prev` and `sig` are texts here, judged by whoever verifies the log.
 * @throws PlcError `malformed`, `too-large`
 */
export function parseSignedOperation(value: unknown): SignedOperation {
  const reader = new ShapeReader(MAX_SIGNED_BYTES)
  const type = operationType(value)
  switch (type) {
    case 'plc_operation': {
      const fields = reader.fields(value, type, [...OPERATION_FIELDS, 'sig'])
      const prev = fields.prev === null ? null : reader.text(fields.prev, 'prev')
      return { type, ...readData(reader, fields), prev, sig: reader.text(fields.sig, 'sig') }
    }
    case 'plc_tombstone': {
      const fields = reader.fields(value, type, [...TOMBSTONE_FIELDS, 'sig'])
      const prev = reader.text(fields.prev, 'prev')
      return { type, prev, sig: reader.text(fields.sig, 'sig') }
    }
    case 'create':
      return readLegacy(reader, value)
  }
}

/** What an operation makes true of its identity; null for a tombstone. A legacy genesis is normalised. */
export function operationData(
  operation: UnsignedOperation | SignedOperation,
): OperationData | null {
  switch (operation.type) {
    case 'plc_operation': {
      const { rotationKeys, verificationMethods, alsoKnownAs, services } = operation
      return { rotationKeys, verificationMethods, alsoKnownAs, services }
    }
    case 'plc_tombstone':
      return null
    case 'create':
      return normaliseLegacy(operation)
  }
}

function operationType(value: unknown): 'plc_operation' | 'plc_tombstone' | 'create' {
  const source = plainObject(value, 'an operation')
  const type = Object.hasOwn(source, 'type') ? source.type : undefined
  if (type === 'plc_operation' || type === 'plc_tombstone' || type === 'create') return type
  throw malformed('the type must be plc_operation, plc_tombstone or create')
}

function readData(
  reader: ShapeReader,
  fields: Record<keyof OperationData, unknown>,
): OperationData {
  return {
    rotationKeys: reader.texts(fields.rotationKeys, 'rotationKeys'),
    verificationMethods: reader.map(fields.verificationMethods, 'verificationMethods', (item) =>
      reader.text(item, 'a verification method'),
    ),
    alsoKnownAs: reader.texts(fields.alsoKnownAs, 'alsoKnownAs'),
    services: reader.map(fields.services, 'services', (item) => readService(reader, item)),
  }
}

function readService(reader: ShapeReader, value: unknown): Service {
  const { type, endpoint } = reader.fields(value, 'a service', ['type', 'endpoint'])
  return {
    type: reader.text(type, 'type of a service'),
    endpoint: reader.text(endpoint, 'endpoint of a service'),
  }
}

function readLegacy(reader: ShapeReader, value: unknown): SignedOperation {
  const fields = reader.fields(value, 'create', [...LEGACY_FIELDS, 'sig'])
  if (fields.prev !== null) throw malformed('prev of a legacy "create" must be null')
  return {
    type: 'create',
    signingKey: reader.text(fields.signingKey, 'signingKey'),
    recoveryKey: reader.text(fields.recoveryKey, 'recoveryKey'),
    handle: reader.text(fields.handle, 'handle'),
    service: reader.text(fields.service, 'service'),
    prev: null,
    sig: reader.text(fields.sig, 'sig'),
  }
}

function parsePrev(value: unknown): string {
  if (typeof value === 'string' && CID_PATTERN.test(value)) return value
  throw malformed('prev must be the CID of an operation')
}

// As @did-plc/lib does; Go leaves a bare service as it is. Only the derived data differs: hash, CID and
// signature are over the original form.
function normaliseLegacy(legacy: LegacyCreate): OperationData {
  const { signingKey, recoveryKey, handle, service } = legacy
  const bareHandle = handle.replace('http://', '').replace('https://', '')
  return {
    rotationKeys: [recoveryKey, signingKey],
    verificationMethods: { atproto: signingKey },
    alsoKnownAs: [handle.startsWith('at://') ? handle : `at://${bareHandle}`],
    services: {
      atproto_pds: {
        type: 'AtprotoPersonalDataServer',
        endpoint: /^https?:\/\//.test(service) ? service : `https://${service}`,
      },
    },
  }
}
