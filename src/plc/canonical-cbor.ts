/** Deeper than anything that is written here. */
const MAX_DEPTH = 32
/** Words that come again and again: names of fields, kinds, rules. */
const MAX_WORD_BYTES = 24
const WORDS = 2048

/** Why this reader gives up; what it is, is said by the other one. */
class NotPlain extends Error {
  override readonly name = 'NotPlain'
}
const notPlain = new NotPlain('not plain canonical DAG-CBOR')

/**
 * The fast way into canonical DAG-CBOR of the plain kind that operations and entries are: maps with
 * ascending ASCII names, lists, ASCII text, bytes, whole numbers, true, false, null. Whatever it reads is
 * the one encoding of what it returns, and `@ipld/dag-cbor` returns the same for it: there is nothing to
 * encode again. All else, canonical or not, is left to that library and a comparison.
 * @returns undefined for anything else
 */
export function readCanonical(message: Uint8Array): unknown {
  const reader = new Reader(message)
  try {
    const value = reader.value(0)
    return reader.isAtEnd() ? value : undefined
  } catch (error) {
    if (error === notPlain) return undefined
    throw error
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(message: Uint8Array) {
    this.#bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength)
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  value(depth: number): unknown {
    const head = this.#byte()
    const info = head & 0x1f
    switch (head >> 5) {
      case 0:
        return this.#number(info)
      case 2:
        return this.#raw(this.#number(info))
      case 3:
        return this.#text(this.#number(info))
      case 4:
        return this.#list(this.#number(info), depth)
      case 5:
        return this.#map(this.#number(info), depth)
      case 7:
        return simple(info)
      default:
        throw notPlain
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++]
    if (byte === undefined) throw notPlain
    return byte
  }

  /** In as few bytes as there are for it. */
  #number(info: number): number {
    if (info < 24) return info
    if (info > 27) throw notPlain
    const width = 1 << (info - 24)
    let number = 0
    for (let left = width; left > 0; left -= 1) number = number * 256 + this.#byte()
    const least = info === 24 ? 24 : 256 ** (width / 2)
    if (number < least || number > Number.MAX_SAFE_INTEGER) throw notPlain
    return number
  }

  #skip(length: number): number {
    const start = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw notPlain
    return start
  }

  #raw(length: number): Uint8Array {
    const start = this.#skip(length)
    const copy = new Uint8Array(length)
    copy.set(this.#bytes.subarray(start, start + length))
    return copy
  }

  #text(length: number): string {
    const start = this.#skip(length)
    const bytes = this.#bytes
    let hash = length
    for (let at = start; at < this.#at; at += 1) {
      const byte = bytes[at]!
      if (byte > 0x7f) throw notPlain
      hash = (Math.imul(hash, 31) + byte) | 0
    }
    if (length > MAX_WORD_BYTES) return bytes.toString('latin1', start, this.#at)
    return this.#word(start, length, hash & (WORDS - 1))
  }

  /** One string for one word, however often it comes. */
  #word(start: number, length: number, slot: number): string {
    const known = words[slot]!
    if (known.length === length && this.#isAt(start, known)) return known
    return (words[slot] = this.#bytes.toString('latin1', start, start + length))
  }

  #isAt(start: number, known: string): boolean {
    for (let at = 0; at < known.length; at += 1) {
      if (this.#bytes[start + at] !== known.charCodeAt(at)) return false
    }
    return true
  }

  #list(length: number, depth: number): unknown[] {
    if (depth === MAX_DEPTH) throw notPlain
    const list: unknown[] = []
    for (let left = length; left > 0; left -= 1) list.push(this.value(depth + 1))
    return list
  }

  #map(length: number, depth: number): object {
    if (depth === MAX_DEPTH) throw notPlain
    const map: Record<string, unknown> = {}
    let last = ''
    for (let left = length; left > 0; left -= 1) {
      const name = this.#name()
      // Shorter ones first; of one length, by their bytes. None twice.
      const ascends = name.length > last.length || (name.length === last.length && name > last)
      if (!ascends && !(name === '' && left === length)) throw notPlain
      map[name] = this.value(depth + 1)
      last = name
    }
    return map
  }

  #name(): string {
    const head = this.#byte()
    if (head >> 5 !== 3) throw notPlain
    const name = this.#text(this.#number(head & 0x1f))
    // The one would set a prototype, the other may be taken for a link.
    if (name === '__proto__' || name === '/') throw notPlain
    return name
  }
}

/** Kept as long as the process: a few kilobytes, whatever is read. */
const words = Array.from({ length: WORDS }, () => '')

function simple(info: number): boolean | null {
  if (info === 20) return false
  if (info === 21) return true
  if (info === 22) return null
  throw notPlain
}
