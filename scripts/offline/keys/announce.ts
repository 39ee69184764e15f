import { possessionChallenge } from '../../../src/ceremony/document.ts'
import type { RecoveryKeyRecord } from '../../../src/ceremony/recovery-key.ts'
import { digestWords } from '../../../src/words/words.ts'
import { print, printJson } from '../command.ts'

const WORDS = 12

export type Made = {
  readonly record: RecoveryKeyRecord
  readonly folder: string
  readonly remarks: readonly string[]
  /** What people are to do before the key is put in force. */
  readonly next: readonly string[]
}

/** What the PDS and the policies need of a key that was made, once it is durable and proven. */
export function announce({ record, folder, remarks, next }: Made, json: boolean): void {
  const { did, env, curve } = record
  const words = digestWords(possessionChallenge(record), WORDS)
  const entry = `- { id: recovery, class: recovery, curve: ${curve}, did: "${did}"${env === 'prod' ? '' : ', development: true'} }`
  if (json) {
    printJson({ did, env, curve, source: record.source, folder, words, keysYaml: entry, remarks })
    return
  }
  if (env === 'rehearsal') {
    print('This key is for a REHEARSAL: nothing that it signs is accepted as a real recovery, and')
    print('its line in keys.yaml is marked so that `env: prod` refuses it.')
  }
  for (const remark of remarks) print(`Note: ${remark}`)
  print(`The key is in ${folder}; its record in words, to compare and to write down:`)
  print(`  ${words.join(' ')}`)
  for (const line of next) print(line)
  print()
  print('For the environment of the PDS, before its first account is made:')
  print(`PDS_RECOVERY_DID_KEY=${did}`)
  print(
    "For keys.yaml in Holdfast's policies; from its next start on every new account needs the key:",
  )
  print(`  ${entry}`)
}
