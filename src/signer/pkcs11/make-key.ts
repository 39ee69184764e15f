// Child side of the commands only: the service's child never imports this.
import { EC_PARAMS } from './ec-point.ts'
import { ATTRIBUTE, CKK_EC, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, findObjects } from './find-key.ts'
import type { AdminCommand } from './admin-protocol.ts'
import { StepError } from './module.ts'
import type { Handle, Module } from './module.ts'

type Named = Extract<AdminCommand, { kind: 'create' | 'import' }>
type Import = Extract<AdminCommand, { kind: 'import' }>
type Template = { type: number; value: boolean | number | Buffer }[]

const CKM_EC_KEY_PAIR_GEN = 0x1040
const SIGN_ONLY: Template = [
  { type: ATTRIBUTE.token, value: true },
  { type: ATTRIBUTE.private, value: true },
  { type: ATTRIBUTE.sensitive, value: true },
  { type: ATTRIBUTE.extractable, value: false },
  { type: ATTRIBUTE.sign, value: true },
  { type: ATTRIBUTE.decrypt, value: false },
  { type: ATTRIBUTE.unwrap, value: false },
  { type: ATTRIBUTE.derive, value: false },
]

/**
 * Makes a key pair in the token that can sign and never leaves it.
 * @returns false when the label or the id is taken
 */
export function createPair(module: Module, session: Handle, command: Named): boolean {
  if (isTaken(module, session, command)) return false
  const made = module.C_GenerateKeyPair(
    session,
    { mechanism: CKM_EC_KEY_PAIR_GEN },
    publicTemplate(command),
    [...SIGN_ONLY, ...namesOf(command)],
  )
  dropUnlessAlone(module, session, { command, made: [made.privateKey, made.publicKey] })
  return true
}

/**
 * Stores a private key that was made elsewhere. The public half first: what a crash leaves then is of
 * no use to anybody, and blocks the label until a person looks.
 * @returns false when the label or the id is taken
 */
export function importPair(module: Module, session: Handle, command: Import): boolean {
  if (isTaken(module, session, command)) return false
  const point = Buffer.concat([Buffer.of(0x04, 0x41), command.point])
  const publicKey = module.C_CreateObject(session, [
    { type: ATTRIBUTE.class, value: CKO_PUBLIC_KEY },
    { type: ATTRIBUTE.keyType, value: CKK_EC },
    { type: ATTRIBUTE.ecPoint, value: point },
    ...publicTemplate(command),
  ])
  const secret = Buffer.from(command.secret)
  try {
    const privateKey = module.C_CreateObject(session, [
      { type: ATTRIBUTE.class, value: CKO_PRIVATE_KEY },
      { type: ATTRIBUTE.keyType, value: CKK_EC },
      { type: ATTRIBUTE.ecParams, value: Buffer.from(EC_PARAMS[command.curve]) },
      { type: ATTRIBUTE.value, value: secret },
      ...SIGN_ONLY,
      ...namesOf(command),
    ])
    dropUnlessAlone(module, session, { command, made: [privateKey, publicKey] })
    return true
  } catch (error) {
    destroy(module, session, [publicKey])
    throw error
  } finally {
    secret.fill(0)
  }
}

function isTaken(module: Module, session: Handle, { label, id }: Named): boolean {
  return [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY].some((kind) =>
    [
      { label, id: null },
      { label: null, id },
    ].some((match) => findObjects(module, session, { kind, match }).length > 0),
  )
}

/** Two commands at the same time both found the label free: then neither keeps it. */
function dropUnlessAlone(
  module: Module,
  session: Handle,
  { command, made }: { command: Named; made: readonly Handle[] },
): void {
  const match = { label: command.label, id: null }
  if (findObjects(module, session, { kind: CKO_PRIVATE_KEY, match }).length === 1) return
  destroy(module, session, made)
  throw new StepError('create', 'configuration', 'another key of that label was made just now')
}

function destroy(module: Module, session: Handle, objects: readonly Handle[]): void {
  for (const object of objects) {
    try {
      module.C_DestroyObject(session, object)
    } catch {
      // The first error is the one to report.
    }
  }
}

function publicTemplate(command: Named): Template {
  return [
    { type: ATTRIBUTE.token, value: true },
    { type: ATTRIBUTE.private, value: false },
    { type: ATTRIBUTE.verify, value: true },
    { type: ATTRIBUTE.ecParams, value: Buffer.from(EC_PARAMS[command.curve]) },
    ...namesOf(command),
  ]
}

function namesOf({ label, id }: Named): Template {
  return [
    { type: ATTRIBUTE.label, value: Buffer.from(label) },
    { type: ATTRIBUTE.id, value: Buffer.from(id) },
  ]
}
