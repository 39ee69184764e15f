import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildShim } from './build.ts'

// The order of CK_FUNCTION_LIST, as in shim.c.
const FUNCTIONS = {
  C_Initialize: 0,
  C_GetSlotList: 4,
  C_OpenSession: 12,
  C_GetSessionInfo: 15,
  C_Login: 18,
  C_CreateObject: 20,
  C_GetAttributeValue: 24,
  C_FindObjectsInit: 26,
  C_SignInit: 42,
  C_Sign: 43,
  C_GenerateKeyPair: 59,
} as const
// struct shared
const COUNTERS_BYTES = 68 * 8 + 1024 * 4
export type Counted = keyof typeof FUNCTIONS

export const CKR = {
  GENERAL_ERROR: 0x05,
  DEVICE_ERROR: 0x30,
  DEVICE_MEMORY: 0x31,
  KEY_FUNCTION_NOT_PERMITTED: 0x68,
  OPERATION_ACTIVE: 0x90,
  PIN_INCORRECT: 0xa0,
  PIN_EXPIRED: 0xa3,
  PIN_LOCKED: 0xa4,
  SESSION_COUNT: 0xb1,
  SESSION_HANDLE_INVALID: 0xb3,
  TOKEN_NOT_PRESENT: 0xe0,
} as const

/** One line of the control file without its id; `times` 0 or left out: until it is taken away. */
export type Rule = {
  readonly on: string
  readonly action: string
  readonly argument?: number
  readonly times?: number
}

export type Shim = Awaited<ReturnType<typeof openShim>>

/** The fault-injecting module over another one, with its files in `dir`. */
export async function openShim(dir: string, modulePath: string) {
  const control = join(dir, 'shim-control')
  const counters = join(dir, 'shim-counters')
  let lastId = 0

  async function set(...rules: Rule[]): Promise<void> {
    const lines = rules.map(({ on, action, argument = 0, times = 0 }) => {
      lastId += 1
      return `${lastId} ${on} ${action} ${argument} ${times}\n`
    })
    await writeFile(`${control}.new`, lines.join(''))
    await rename(`${control}.new`, control)
  }

  /** How often the module was asked, by all processes together. */
  async function count(name: Counted): Promise<number> {
    return Number((await readFile(counters)).readBigUInt64LE(FUNCTIONS[name] * 8))
  }

  await set()
  // Whole before the first process maps it, so that nobody reads half of it.
  await writeFile(counters, new Uint8Array(COUNTERS_BYTES))
  return {
    modulePath: await buildShim(),
    environment: { SHIM_MODULE: modulePath, SHIM_CONTROL: control, SHIM_COUNTERS: counters },
    set,
    count,
  }
}
