// Child side only: the module's code runs in the process that imports this.
import { createRequire } from 'node:module'
import type * as Pkcs11Js from 'pkcs11js'
import type { Handle, PKCS11 } from 'pkcs11js'
import {
  CKR_TOKEN_NOT_PRESENT,
  CKR_TOKEN_NOT_RECOGNIZED,
  CKR_USER_ALREADY_LOGGED_IN,
  classOf,
  nameOf,
} from './ckr.ts'
import type { CkrClass } from './ckr.ts'
import type { Failure, PinState } from './protocol.ts'
import type { TokenMatch } from './uri.ts'

export type { Handle } from 'pkcs11js'
export type Module = PKCS11
export type Token = {
  readonly slot: Handle
  readonly label: string
  readonly serial: string
  readonly needsLogin: boolean
  /** Sessions that the token allows at once; null when it names no bound. */
  readonly maxSessions: number | null
}

const CKF_OS_LOCKING_OK = 0x2
const CKF_LOGIN_REQUIRED = 0x4
const CKF_USER_PIN_FINAL_TRY = 0x20000
const CKF_USER_PIN_LOCKED = 0x40000
const CKU_USER = 1
// CK_UNAVAILABLE_INFORMATION, as the binding cuts it to 32 bits, and CK_EFFECTIVELY_INFINITE.
const NO_BOUND: readonly number[] = [0xffffffff, 0]

/** A failure that is not a return value of the module. */
export class StepError extends Error {
  override readonly name = 'StepError'
  readonly step: string
  readonly kind: CkrClass

  constructor(step: string, kind: CkrClass, message: string) {
    super(message)
    this.step = step
    this.kind = kind
  }
}

/** Loads and initialises the module. Once a process: PKCS#11 knows only one application in it. */
export function openModule(path: string): Module {
  const { PKCS11 } = loadBinding()
  const module = new PKCS11()
  try {
    module.load(path)
  } catch (error) {
    throw new StepError('load', 'configuration', `cannot load ${path}: ${messageOf(error)}`)
  }
  // Without this flag the module may think itself single-threaded, and signatures run on four threads.
  module.C_Initialize({ flags: CKF_OS_LOCKING_OK })
  return module
}

/** The one token that matches. By its names: slot ids and their order change. */
export function findToken(module: Module, match: TokenMatch): Token {
  const found = module.C_GetSlotList(true).flatMap((slot) => {
    const token = readToken(module, slot, match)
    return token === null ? [] : [token]
  })
  const [token, another] = found
  if (token === undefined) {
    throw new StepError('find token', 'reinit', 'no token of that label and serial is present')
  }
  if (another !== undefined) {
    throw new StepError(
      'find token',
      'configuration',
      `${found.length} tokens match; add serial= to the URI`,
    )
  }
  return token
}

function readToken(module: Module, slot: Handle, match: TokenMatch): Token | null {
  try {
    const info = module.C_GetTokenInfo(slot)
    const [label, serial] = [unpad(info.label), unpad(info.serialNumber)]
    const names = [
      [match.label, label],
      [match.serial, serial],
      [match.manufacturer, unpad(info.manufacturerID)],
      [match.model, unpad(info.model)],
    ]
    if (!names.every(([wanted, is]) => wanted === null || wanted === is)) return null
    const maxSessions = NO_BOUND.includes(info.maxSessionCount) ? null : info.maxSessionCount
    const needsLogin = (info.flags & CKF_LOGIN_REQUIRED) !== 0
    return { slot, label, serial, needsLogin, maxSessions }
  } catch (error) {
    // Another reader that just lost its card must not hide our token.
    const ckr = ckrOf(error)
    if (ckr === CKR_TOKEN_NOT_PRESENT || ckr === CKR_TOKEN_NOT_RECOGNIZED) return null
    throw error
  }
}

/** Read again before each login: the counter moves when others try. */
export function readPinState(module: Module, slot: Handle): PinState {
  const { flags } = module.C_GetTokenInfo(slot)
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) return 'locked'
  return (flags & CKF_USER_PIN_FINAL_TRY) !== 0 ? 'final-try' : 'ok'
}

/** One attempt. The caller holds the latch. */
export function login(module: Module, session: Handle, pin: Uint8Array): void {
  try {
    module.C_Login(session, CKU_USER, Buffer.from(pin).toString('utf8'))
  } catch (error) {
    if (ckrOf(error) !== CKR_USER_ALREADY_LOGGED_IN) throw error
  }
}

/**
 * The return value of a PKCS#11 function that threw; null for any other error. The binding gives most
 * of them a `code`; C_FindObjects throws the bare text.
 */
export function ckrOf(error: unknown): number | null {
  if (!(error instanceof Error)) return null
  if ('code' in error && typeof error.code === 'number' && error.code > 0) return error.code
  const text = /^CKR_[A-Z0-9_]+:([0-9]+)$/.exec(error.message)
  return text === null ? null : Number(text[1])
}

export function failureOf(step: string, error: unknown): Failure {
  if (error instanceof StepError) {
    return { step: error.step, ckr: null, kind: error.kind, message: error.message.slice(0, 1024) }
  }
  const ckr = ckrOf(error)
  if (ckr === null) {
    return { step, ckr, kind: 'reinit', message: messageOf(error).slice(0, 1024) }
  }
  return { step, ckr, kind: classOf(ckr), message: `${step}: ${nameOf(ckr)}` }
}

function loadBinding(): typeof Pkcs11Js {
  try {
    return createRequire(import.meta.url)('pkcs11js') as typeof Pkcs11Js
  } catch (error) {
    throw new StepError(
      'load',
      'configuration',
      `the package pkcs11js is missing; install a C++ compiler, make and python3, then run npm rebuild pkcs11js (${messageOf(error)})`,
    )
  }
}

const unpad = (padded: string) => padded.replace(/[ \0]+$/, '')
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
