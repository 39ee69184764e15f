/**
 * Messages as a parser of untrusted bytes may meet them: operations in canonical DAG-CBOR, signed ones,
 * the same in encodings that are not canonical, with a wrong field, with damaged bytes; any CBOR; any
 * bytes. Endless, and the same for the same seed: print the seed, and a failure can be had again.
 */
export function* generateMessages(seed: number): Generator<Uint8Array> {
  const random = new Random(seed)
  for (;;) yield random.pick(MAKERS)(random)
}

type Maker = (random: Random) => Uint8Array

/** A CBOR value before it is written; `Raw` stands for itself, `MapItem` keeps order and repetition. */
type Item = string | number | null | boolean | undefined | Item[] | MapItem | Raw
class MapItem {
  readonly entries: [Item, Item][]
  constructor(entries: [Item, Item][]) {
    this.entries = entries
  }
}
class Raw {
  readonly bytes: number[]
  constructor(bytes: number[]) {
    this.bytes = bytes
  }
}

const MAKERS: Maker[] = [
  (random) => write(operation(random)),
  (random) => write(operation(random)),
  (random) => write(withSignature(random, operation(random))),
  (random) => write(operation(random), oddly(random, 50)),
  (random) => write(withSignature(random, operation(random)), oddly(random, 50)),
  (random) => write(wrongField(random, operation(random))),
  (random) => damage(random, write(operation(random))),
  (random) => damage(random, write(withSignature(random, operation(random)))),
  (random) => spliced(write(operation(random)), write(operation(random)), random),
  (random) => write(anyItem(random, 4), oddly(random, 20)),
  (random) => Uint8Array.from(random.bytes(random.below(random.below(8) === 0 ? 5000 : 200))),
]

/** Mulberry32: 32 bits of state are enough to reach every branch of a parser. */
class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  bytes(length: number): number[] {
    return Array.from({ length }, () => this.below(256))
  }

  list<T>(most: number, make: () => T): T[] {
    return Array.from({ length: this.below(most + 1) }, make)
  }
}

const KEYS = [
  'did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg',
  'did:key:zDnaefqvvRQsME5c7LvxdghHeARNWEFbg2PfrAYiHhKVf9rH9',
  'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK',
]
const IDS = [
  'atproto',
  'atproto_pds',
  '__proto__',
  'constructor',
  'toString',
  '/',
  'bytes',
  'asCID',
  '',
]
const TEXTS = [
  ...KEYS,
  'at://alice.example.com',
  'https://pds.example.com',
  'AtprotoPersonalDataServer',
  '\u202e\u200b\u0000\n"\\',
  '\ud83d\ude00',
]
const CIDS = [
  'bafyreidef3g2vvlshwzf7vxjyxg3lraahujvhtkpo7y3g4br52ft3lzwem',
  'bafyreihqa4o4gsyai22ydms6j4cua6yr6tuc7trq2temnvycadk2daniru',
]

function operation(random: Random): MapItem {
  const text = () => (random.below(20) === 0 ? 'x'.repeat(random.below(2000)) : random.pick(TEXTS))
  const map = (value: () => Item) =>
    new MapItem([...new Set(random.list(3, () => random.pick(IDS)))].map((id) => [id, value()]))
  const prev = random.below(3) === 0 ? null : random.pick(CIDS)
  const type = random.pick(['plc_operation', 'plc_operation', 'plc_operation', 'plc_tombstone'])
  if (type === 'plc_tombstone')
    return new MapItem([
      ['type', type],
      ['prev', prev],
    ])
  return new MapItem([
    ['type', type],
    ['rotationKeys', random.list(6, () => random.pick(KEYS))],
    ['verificationMethods', map(text)],
    ['alsoKnownAs', random.list(3, text)],
    [
      'services',
      map(
        () =>
          new MapItem([
            ['type', text()],
            ['endpoint', text()],
          ]),
      ),
    ],
    ['prev', prev],
  ])
}

function withSignature(random: Random, { entries }: MapItem): MapItem {
  const sig = Buffer.from(random.bytes(random.below(10) === 0 ? 70 : 64)).toString('base64url')
  return new MapItem([...entries, ['sig', sig]])
}

function wrongField(random: Random, { entries }: MapItem): MapItem {
  const at = random.below(entries.length)
  const [name] = entries[at]!
  switch (random.below(4)) {
    case 0:
      return new MapItem(entries.toSpliced(at, 1))
    case 1:
      return new MapItem([...entries, [random.pick([...IDS, 'sig', 'extra']), anyItem(random, 2)]])
    case 2:
      return new MapItem([...entries, entries[at]!])
    default:
      return new MapItem(entries.with(at, [name, anyItem(random, 3)]))
  }
}

function anyItem(random: Random, depth: number): Item {
  const kind = random.below(depth > 0 ? 12 : 9)
  if (kind === 0) return null
  if (kind === 1) return random.pick([true, false, undefined])
  if (kind === 2) return random.pick([0, 1, 23, 24, 255, 65_536, 2 ** 40])
  if (kind <= 4) return random.pick([...TEXTS, ...IDS, ...CIDS])
  // Float, bytes, tags (a link among them), negative and simple values, broken UTF-8, promised lengths.
  if (kind === 5) return new Raw([random.pick([0xf9, 0xfa, 0xfb, 0x1b, 0x3b]), ...random.bytes(8)])
  if (kind === 6) return new Raw([0x40 + random.below(24), ...random.bytes(random.below(24))])
  if (kind === 7)
    return new Raw([0xd8, 0x2a, 0x58, 37, 0, 1, 0x71, 0x12, 0x20, ...random.bytes(32)])
  if (kind === 8) return new Raw([random.pick([0x9a, 0xba, 0x7a, 0x5a]), ...random.bytes(4)])
  if (kind === 9) return random.list(4, () => anyItem(random, depth - 1))
  const key = () => (random.below(8) === 0 ? anyItem(random, 0) : random.pick(IDS))
  return new MapItem(random.list(4, () => [key(), anyItem(random, depth - 1)]))
}

function damage(random: Random, message: Uint8Array): Uint8Array {
  let bytes = Buffer.from(message)
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(bytes.length + 1)
    const [start, rest] = [bytes.subarray(0, at), bytes.subarray(at)]
    const length = 1 + random.below(8)
    switch (random.below(6)) {
      case 0:
        bytes = Buffer.concat([start, rest.subarray(length)])
        break
      case 1:
        bytes = Buffer.concat([start, Buffer.from(random.bytes(length)), rest])
        break
      case 2:
        bytes = Buffer.concat([start, rest.subarray(0, 8 * length), rest])
        break
      case 3:
        bytes = start
        break
      default:
        if (at < bytes.length) bytes[at]! ^= 1 << random.below(8)
    }
  }
  return new Uint8Array(bytes)
}

function spliced(one: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const start = one.subarray(0, random.below(one.length))
  return new Uint8Array(Buffer.concat([start, other.subarray(random.below(other.length))]))
}

/** How much longer than needed a head is written: 0 to 3 sizes, or 4 for an indefinite length. */
type Quirk = () => number

const CANONICAL: Quirk = () => 0

function oddly(random: Random, oneIn: number): Quirk {
  return () => (random.below(oneIn) === 0 ? random.below(4) + 1 : 0)
}

function write(item: Item, quirk = CANONICAL): Uint8Array {
  return new Uint8Array(itemBytes(item, quirk))
}

function itemBytes(item: Item, quirk: Quirk): Buffer {
  if (item instanceof Raw) return Buffer.from(item.bytes)
  if (item === null) return Buffer.of(0xf6)
  if (item === undefined) return Buffer.of(0xf7)
  if (typeof item === 'boolean') return Buffer.of(item ? 0xf5 : 0xf4)
  if (typeof item === 'number') return head(0, item, quirk())
  if (typeof item === 'string') return textBytes(item, quirk())
  if (Array.isArray(item)) {
    const content = item.map((each) => itemBytes(each, quirk))
    return container(4, { count: item.length, content, longer: quirk() })
  }
  const entries = item.entries.map((entry) => entry.map((each) => itemBytes(each, quirk)))
  // DAG-CBOR order: the written keys as bytes, which puts shorter ones first.
  if (quirk() === 0) entries.sort(([a], [b]) => Buffer.compare(a!, b!))
  return container(5, { count: entries.length, content: entries.flat(), longer: quirk() })
}

const SHORT_HEADS = Array.from({ length: 256 }, (_, byte) => Buffer.of(byte))

/** The texts that come again and again: most of the work of writing a message. */
const written = new Map(
  [
    ...TEXTS,
    ...IDS,
    ...CIDS,
    ...'type plc_operation plc_tombstone rotationKeys verificationMethods'.split(' '),
    ...'alsoKnownAs services endpoint prev sig'.split(' '),
  ].map((text) => [text, newTextBytes(text, 0)]),
)

function textBytes(text: string, longer: number): Buffer {
  return (longer === 0 ? written.get(text) : undefined) ?? newTextBytes(text, longer)
}

function newTextBytes(item: string, longer: number): Buffer {
  const text = Buffer.from(item)
  return container(3, { count: text.length, content: [text], longer })
}

function container(
  major: number,
  { count, content, longer }: { count: number; content: Buffer[]; longer: number },
): Buffer {
  if (longer < 4) return Buffer.concat([head(major, count, longer), ...content])
  // An indefinite text holds definite chunks.
  const chunk = major === 3 ? [head(3, count, 0)] : []
  return Buffer.concat([Buffer.of((major << 5) | 31), ...chunk, ...content, Buffer.of(0xff)])
}

function head(major: number, value: number, longer: number): Buffer {
  const sizes = [0, 1, 2, 4, 8]
  const needed = value < 24 ? 0 : sizes.findIndex((size) => size > 0 && value < 256 ** size)
  const size = Math.min(needed + longer, 4)
  if (size === 0) return SHORT_HEADS[(major << 5) | value]!
  const digits = value.toString(16).padStart(2 * sizes[size]!, '0')
  return Buffer.concat([Buffer.of((major << 5) | (23 + size)), Buffer.from(digits, 'hex')])
}
