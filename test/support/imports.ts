import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { parseSync, visitorKeys } from 'oxc-parser'

/** One import, however it is written: static, type-only, re-export, dynamic, or `createRequire`. */
export type Import = {
  /** A file from the root (`src/plc/log.ts`), `node:NAME`, or a package with its subpath. */
  readonly target: string
  readonly typeOnly: boolean
  /** What is taken from it; `*` for all of it. */
  readonly names: readonly string[]
}

/** A place where code says something that only a few files may say. */
export type Use = { readonly name: string; readonly line: number }

/** What an architecture rule needs to know about a source file. */
export type SourceFile = {
  readonly file: string
  readonly lines: number
  readonly imports: readonly Import[]
  /** Globals that reach clock, chance, environment, network or terminal; a call that takes them whole too. */
  readonly globals: readonly Use[]
  /** Names of types in `as` and `<T>` casts and in type predicates. */
  readonly casts: readonly Use[]
  /** Types declared as `Proof<…>`. */
  readonly proofs: readonly string[]
  readonly strings: readonly string[]
}

type Node = { readonly type: string; readonly start: number; readonly [field: string]: unknown }
type Visit = (node: Node, parent: Node | null, field: string) => void

const watched = new Set(
  'process console fetch WebSocket EventSource XMLHttpRequest setTimeout setInterval setImmediate queueMicrotask performance crypto globalThis global navigator AbortSignal eval Function require Date Math'.split(
    ' ',
  ),
)

/** @param file from the root, with slashes; it need not exist. @throws Error when it does not parse */
export function readSource(file: string, text: string): SourceFile {
  const { program, errors } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message ?? 'does not parse'}`)
  const imports: Import[] = []
  const globals: Use[] = []
  const casts: Use[] = []
  const proofs: string[] = []
  const strings: string[] = []
  const at = (node: Node) => text.slice(0, node.start).split('\n').length
  walk(program as unknown as Node, (node, parent, field) => {
    imports.push(...importsOf(file, node))
    const global = globalOf(node, parent, field)
    if (global !== null) globals.push({ name: global, line: at(node) })
    casts.push(...castNames(node).map((name) => ({ name, line: at(node) })))
    if (isProof(node)) proofs.push(nameOf(node['id']) ?? '')
    if (node.type === 'Literal' && typeof node['value'] === 'string') strings.push(node['value'])
    if (node.type === 'TemplateElement') strings.push((node['value'] as { raw: string }).raw)
  })
  const lines = text.replace(/\n$/, '').split('\n').length
  return { file, lines, imports, globals, casts, proofs, strings }
}

function walk(root: Node, visit: Visit): void {
  const step = (node: Node, parent: Node | null, field: string) => {
    visit(node, parent, field)
    for (const key of visitorKeys[node.type] ?? []) {
      for (const child of [node[key]].flat()) {
        if (isNode(child)) step(child, node, key)
      }
    }
  }
  step(root, null, '')
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value
}

function importsOf(file: string, node: Node): Import[] {
  const from = (source: unknown, rest: Omit<Import, 'target'>): Import[] => {
    const specifier = textOf(source)
    if (specifier === null) return [{ target: '(computed)', ...rest }]
    return [{ target: resolveImport(file, specifier), ...rest }]
  }
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration': {
      if (node['source'] === null) return []
      const specifiers = node['specifiers'] as Node[]
      const kinds = specifiers.map((part) => part['importKind'] ?? part['exportKind'])
      const kind = node['importKind'] ?? node['exportKind']
      const typeOnly =
        kind === 'type' || (kinds.length > 0 && kinds.every((inner) => inner === 'type'))
      return from(node['source'], { typeOnly, names: specifiers.map(importedName) })
    }
    case 'ExportAllDeclaration':
      return from(node['source'], { typeOnly: node['exportKind'] === 'type', names: ['*'] })
    case 'ImportExpression':
      return from(node['source'], { typeOnly: false, names: ['*'] })
    case 'TSImportType':
      return from(node['source'], { typeOnly: true, names: ['*'] })
    case 'TSExternalModuleReference':
      return from(node['expression'], { typeOnly: false, names: ['*'] })
    case 'CallExpression':
      if (!isRequire(node['callee'])) return []
      return from((node['arguments'] as unknown[])[0], { typeOnly: false, names: ['*'] })
    default:
      return []
  }
}

/** `require(…)`, and `createRequire(…)(…)`, which is the same in an ES module. */
function isRequire(callee: unknown): boolean {
  if (!isNode(callee)) return false
  if (nameOf(callee) === 'require') return true
  return callee.type === 'CallExpression' && nameOf(callee['callee']) === 'createRequire'
}

function importedName(specifier: Node): string {
  switch (specifier.type) {
    case 'ImportNamespaceSpecifier':
      return '*'
    case 'ImportDefaultSpecifier':
      return 'default'
    default: {
      const name = specifier['imported'] ?? specifier['local']
      return nameOf(name) ?? textOf(name) ?? '*'
    }
  }
}

/** `./x.ts` as a file from the root; a builtin as `node:NAME`, with the prefix or without. */
export function resolveImport(file: string, specifier: string): string {
  if (specifier.startsWith('.')) return posix.join(posix.dirname(file), specifier)
  if (specifier.startsWith('node:')) return specifier
  return isBuiltin(specifier) ? `node:${specifier}` : specifier
}

/** The package of a target, without its subpath; null for a file or a builtin. */
export function packageOf(target: string): string | null {
  if (target.startsWith('node:') || /^(src|scripts|test|\.\.?)\//.test(target)) return null
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/')
}

function globalOf(node: Node, parent: Node | null, field: string): string | null {
  if (node.type === 'MetaProperty') return 'import.meta'
  const name = node.type === 'Identifier' ? nameOf(node) : null
  if (name === null || !watched.has(name) || parent === null || isOnlyAName(parent, field)) {
    return null
  }
  const member = parent.type === 'MemberExpression' && field === 'object' ? memberOf(parent) : null
  switch (name) {
    case 'Date':
      return usesClock(parent, member) ? 'Date.now' : null
    case 'Math':
      return member === null || member === 'random' ? 'Math.random' : null
    default:
      return member === null ? name : `${name}.${member}`
  }
}

/** A property, a key, a label or a type that happens to be called like a global. */
function isOnlyAName(parent: Node, field: string): boolean {
  if (parent['computed'] === true) return false
  switch (parent.type) {
    case 'MemberExpression':
      return field === 'property'
    case 'ImportSpecifier':
      return true
    case 'Property':
    case 'PropertyDefinition':
    case 'MethodDefinition':
    case 'TSPropertySignature':
    case 'TSMethodSignature':
      return field === 'key'
    default:
      return parent.type === 'TSTypeReference' || parent.type === 'TSQualifiedName'
  }
}

function usesClock(parent: Node, member: string | null): boolean {
  if (member === 'UTC' || member === 'parse') return false
  if (parent.type === 'BinaryExpression' && parent['operator'] === 'instanceof') return false
  return parent.type !== 'NewExpression' || (parent['arguments'] as unknown[]).length === 0
}

function memberOf(node: Node): string | null {
  return node['computed'] === true ? textOf(node['property']) : nameOf(node['property'])
}

function castNames(node: Node): string[] {
  const casts = ['TSAsExpression', 'TSTypeAssertion', 'TSTypePredicate']
  const type = node['typeAnnotation']
  if (!casts.includes(node.type) || !isNode(type)) return []
  const names: string[] = []
  walk(type, (inner) => {
    if (inner.type === 'TSTypeReference') names.push(nameOf(inner['typeName']) ?? '')
    if (inner.type === 'TSAnyKeyword') names.push('any')
    if (inner.type === 'TSNeverKeyword') names.push('never')
  })
  return names
}

function isProof(node: Node): boolean {
  const type = node['typeAnnotation']
  if (node.type !== 'TSTypeAliasDeclaration' || !isNode(type)) return false
  return type.type === 'TSTypeReference' && nameOf(type['typeName']) === 'Proof'
}

function nameOf(node: unknown): string | null {
  if (!isNode(node) || typeof node['name'] !== 'string') return null
  return node['name']
}

function textOf(node: unknown): string | null {
  if (!isNode(node)) return null
  if (node.type === 'Literal' && typeof node['value'] === 'string') return node['value']
  const [part, more] = node.type === 'TemplateLiteral' ? (node['quasis'] as Node[]) : []
  if (part === undefined || more !== undefined) return null
  return (part['value'] as { raw: string }).raw
}
