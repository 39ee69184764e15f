import { hash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Encrypter } from 'age-encryption'
import { encodeOfficerSecret } from '../../src/approval/officer-secret.ts'
import { keyNamed } from '../plc/build-log.ts'

export const PASSPHRASE = 'a passphrase of the test'

/** A file under a passphrase that costs little to open: of the key that `rosterYaml` has for an officer. */
export async function officerKeyFile(dir: string, person: string): Promise<string> {
  const did = (await keyNamed(`${person} cli`)).did()
  const secret = Uint8Array.from(Buffer.from(hash('sha256', `${person} cli`, 'hex'), 'hex'))
  const encrypter = new Encrypter()
  encrypter.setScryptWorkFactor(4)
  encrypter.setPassphrase(PASSPHRASE)
  const content = encodeOfficerSecret({ curve: 'K-256', did, secret })
  const path = join(dir, `${person}.age`)
  await writeFile(path, await encrypter.encrypt(content), { mode: 0o600 })
  return path
}

export async function passphraseFile(dir: string): Promise<string> {
  const path = join(dir, 'passphrase')
  await writeFile(path, `${PASSPHRASE}\n`, { mode: 0o600 })
  return path
}
