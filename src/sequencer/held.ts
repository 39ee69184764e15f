/**
 * The last checkpoint and what is in force, held where the database cannot reach. It is what tells a
 * restored backup, or a rewritten log, from the one that was signed for.
 */
export type Held = {
  /** Made once; the log's first entry names it. */
  readonly storeId: string
  readonly origin: string
  readonly size: number
  /** 32 bytes. */
  readonly root: Uint8Array
  /** Canonical bytes of what officers put in force; null before there is any. */
  readonly trust: Uint8Array | null
  /** What was stopped by officers: `all since TIME`, `key ID since TIME`, `caller NAME since TIME`. */
  readonly frozen: readonly string[]
}

/** Serialisable, read-after-write consistent, durable on return. */
export type HeldStore = {
  /** null: never made, or lost. @throws HeldError `unreadable` */
  read(): Promise<Held | null>
  /** Only where there is none. @throws HeldError `conflict` */
  create(first: Held): Promise<Held>
  /** Compare and swap. @throws HeldError `conflict` when it is not `held` any more */
  replace(held: Held, next: Held): Promise<Held>
  close(): Promise<void>
}

export type HeldErrorCode = 'conflict' | 'unreadable'

export class HeldError extends Error {
  override readonly name = 'HeldError'
  readonly code: HeldErrorCode

  constructor(code: HeldErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const FORMAT = 'holdfast/held/v1'

export function encodeHeld({ root, trust, ...rest }: Held): string {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  const fields = { ...rest, root: text(root), trust: trust === null ? null : text(trust) }
  return `${JSON.stringify({ format: FORMAT, ...fields }, null, 2)}\n`
}

const FIELDS = ['format', 'frozen', 'origin', 'root', 'size', 'storeId', 'trust']

/** Strict: a record that is not exactly one of ours is not believed. @throws HeldError `unreadable` */
export function decodeHeld(text: string, place: string): Held {
  const bad = (what: string) => new HeldError('unreadable', `${place}: ${what}`)
  let value: Record<string, unknown>
  try {
    value = JSON.parse(text) as Record<string, unknown>
  } catch {
    throw bad('is not JSON')
  }
  if (typeof value !== 'object' || value === null) throw bad('is not an object')
  if (Object.keys(value).toSorted().join() !== FIELDS.join()) throw bad('has other fields')
  const { format, storeId, origin, size, root, trust, frozen } = value
  if (format !== FORMAT) throw bad('is of another format')
  if (typeof storeId !== 'string' || !/^[0-9a-f-]{36}$/.test(storeId)) throw bad('storeId')
  if (typeof origin !== 'string' || !/^[^\s+]{1,256}$/.test(origin)) throw bad('origin')
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw bad('size')
  const hash = bytesOf(root)
  if (hash?.length !== 32) throw bad('root')
  const record = trust === null ? null : bytesOf(trust)
  if (record === undefined) throw bad('trust')
  if (!Array.isArray(frozen) || !frozen.every((item) => typeof item === 'string'))
    throw bad('frozen')
  return { storeId, origin, size, root: hash, trust: record, frozen }
}

function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string') return undefined
  const bytes = Buffer.from(value, 'base64')
  return bytes.toString('base64') === value ? new Uint8Array(bytes) : undefined
}

export function isSameHeld(left: Held, right: Held): boolean {
  return encodeHeld(left) === encodeHeld(right)
}
