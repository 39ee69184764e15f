import { parseArgs } from 'node:util'
import { latchDir } from '../../../src/data-dir.ts'
import { openPolicies } from '../../../src/development.ts'
import { homesOf } from '../../../src/policy/policy-set.ts'
import { schemeOf } from '../../../src/signer/backends.ts'
import { pinFromFile } from '../../../src/signer/pkcs11/pin-file.ts'
import {
  describeLatch,
  listLatches,
  readLatch,
  unlatch,
} from '../../../src/signer/pkcs11/pin-latch.ts'
import type { Latch } from '../../../src/signer/pkcs11/pin-latch.ts'
import { parseKeyUri } from '../../../src/signer/pkcs11/uri.ts'
import { recordKey } from '../../../src/store/key-record.ts'
import { UsageError, print, printJson } from '../command.ts'
import { withRecord } from './open.ts'
import type { Ground } from './open.ts'

const usage = 'keys unlatch SERIAL [--same-pin] [--json]'

/**
 * Allows one more login to a token. A PIN that the token refused is not tried again as long as its file
 * is the same one, unless the person says that it is right.
 */
export async function unlatchToken(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      'same-pin': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const [serial, extra] = positionals
  if (serial === undefined || extra !== undefined) throw new UsageError(usage)
  return await withRecord(async (ground) => {
    const dir = latchDir(ground.config)
    const latch = await readLatch(dir, serial)
    if (latch === null) return await refuseUnknown(dir, serial)
    if (!values['same-pin'] && (await isSamePin(ground, latch))) {
      const advice =
        'correct it first; or, if the PIN is right and the token was changed, say --same-pin'
      process.stderr.write(
        `${describeLatch(latch)}, and its file has not changed since: ${advice}\n`,
      )
      return 1
    }
    await unlatch(dir, serial)
    const reason = describeLatch(latch)
    await recordKey(ground.db, { kind: 'key.unlatched', serial, reason })
    if (values.json) printJson({ serial, reason })
    else
      print(
        `Unlatched ${serial} (${reason}). A running service tries the PIN once within a second.`,
      )
    return 0
  })
}

async function refuseUnknown(dir: string, serial: string): Promise<number> {
  const known = (await listLatches(dir)).map((latch) => latch.serial)
  const others = known.length === 0 ? 'no token is' : `latched are: ${known.join(', ')}`
  process.stderr.write(`token ${JSON.stringify(serial)} is not latched; ${others}\n`)
  return 1
}

/** The latch knows a fingerprint of the file that the refused PIN came from. */
async function isSamePin(ground: Ground, { reason, pinVersion }: Latch): Promise<boolean> {
  if (reason !== 'pin-refused' || pinVersion === null) return false
  for (const path of await pinFiles(ground)) {
    const pin = await pinFromFile(path)().catch(() => null)
    pin?.bytes.fill(0)
    if (pin?.version === pinVersion) return true
  }
  return false
}

async function pinFiles({ config, sealer }: Ground): Promise<string[]> {
  const { policies } = await openPolicies(config, sealer)
  const uris = policies.keys.flatMap(homesOf).filter((uri) => schemeOf(uri) === 'pkcs11')
  const paths = [config.pkcs11PinFile, ...uris.map((uri) => parseKeyUri(uri).pinPath)]
  return [...new Set(paths.filter((path) => path !== null))]
}
