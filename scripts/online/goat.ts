import { UsageError } from './command.ts'

/**
 * The files of `goat plc`, as goat 0.2 and go-didplc write and read them: JSON as Go's encoder makes it,
 * indented by two spaces, an operation's fields in the order of its struct, maps sorted by their bytes.
 */

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }
type JsonObject = { readonly [name: string]: Json }

const OPERATION_FIELDS = [
  'type',
  'rotationKeys',
  'verificationMethods',
  'alsoKnownAs',
  'services',
  'prev',
  'sig',
]
const DATA_FIELDS = ['did', 'verificationMethods', 'rotationKeys', 'alsoKnownAs', 'services']
const SERVICE_FIELDS = ['type', 'endpoint']

/** An operation as `goat plc sign` prints it, without the line feed at its end. */
export function renderGoatOperation(operation: object): string {
  return render(inOrder(operation, OPERATION_FIELDS), '')
}

/** The data of an identity as `goat plc data` prints it. */
export function renderGoatData(data: object): string {
  return render(inOrder(data, DATA_FIELDS), '')
}

/** Anything as `goat plc history` prints it: every object's names sorted. */
export function renderGoatSorted(value: object): string {
  return render(sorted(value as Json), '')
}

/**
 * An operation in a file of goat's, unsigned: `sig`, empty or not, is taken out, since it is signed anew.
 * `goat plc update` leaves `type` empty when the head is a legacy operation; it means an update.
 * @throws UsageError
 */
export function parseGoatOperation(text: string, file: string): object {
  const value = parseObject(text, file)
  const { sig: _sig, ...unsigned } = value
  return unsigned['type'] === '' && Array.isArray(unsigned['rotationKeys'])
    ? { ...unsigned, type: 'plc_operation' }
    : unsigned
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new UsageError(`requests propose --key ID --from-file FILE\n${file} is not JSON`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new UsageError(`requests propose --key ID --from-file FILE\n${file} holds no operation`)
}

/** Entries and not an object: an id may be `__proto__`. */
type Entries = readonly (readonly [name: string, value: Node])[]
type Node = string | number | boolean | null | readonly Node[] | { readonly entries: Entries }

function inOrder(value: object, fields: readonly string[]): Node {
  const source = value as JsonObject
  return {
    entries: fields.flatMap((name) => {
      if (!Object.hasOwn(source, name)) return []
      const field = source[name] as Json
      return [[name, name === 'services' ? services(field as JsonObject) : sorted(field)] as const]
    }),
  }
}

function services(map: JsonObject): Node {
  return {
    entries: byBytes(map).map(([id, service]) => [id, inOrder(service as object, SERVICE_FIELDS)]),
  }
}

function sorted(value: Json): Node {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  return { entries: byBytes(value as JsonObject).map(([name, item]) => [name, sorted(item)]) }
}

/** Go sorts by UTF-8, JavaScript by UTF-16. */
function byBytes(map: JsonObject): [string, Json][] {
  return Object.entries(map).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

function render(node: Node, indent: string): string {
  if (typeof node !== 'object' || node === null) return renderScalar(node)
  const inner = `${indent}  `
  const [open, close, lines] = Array.isArray(node)
    ? ['[', ']', node.map((item: Node) => render(item, inner))]
    : ['{', '}', renderEntries((node as { entries: Entries }).entries, inner)]
  if (lines.length === 0) return `${open}${close}`
  return `${open}\n${lines.map((line) => `${inner}${line}`).join(',\n')}\n${indent}${close}`
}

function renderEntries(entries: Entries, inner: string): string[] {
  return entries.map(([name, item]) => `${renderScalar(name)}: ${render(item, inner)}`)
}

/** Go's encoder escapes what could end a script in HTML, and the two line ends of JavaScript. */
function renderScalar(value: string | number | boolean | null): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
