import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { encodeEvidence } from '../../../src/approval/evidence.ts'
import { statementOf } from '../../../src/approval/matter.ts'
import type { Matter } from '../../../src/approval/matter.ts'
import { encodeStatement, preimageOf } from '../../../src/approval/statement.ts'
import { writeOnce } from '../../../src/files/write-once.ts'
import { escapeText } from '../../../src/plc/text.ts'
import type { Roster } from '../../../src/policy/roster.ts'
import { renderApprovalFile } from '../../../src/recovery/approval-file.ts'
import { APPROVALS_FOLDER } from '../../../src/recovery/bundle.ts'
import { ceremonyMatter } from '../../../src/recovery/trusted.ts'
import { openTrusted } from '../../offline/recovery/bundle-option.ts'
import { confirmWords } from '../../offline/recovery/confirm.ts'
import { look, sampleOptions, samplingOf, show } from '../../offline/recovery/inspect.ts'
import { Refusal } from '../../offline/command.ts'
import { openTerminal } from '../../offline/terminal.ts'
import { print, printJson, UsageError } from '../command.ts'
import { officerKeyOptions, officerKeyUsage, withOfficerKey } from '../officer-key.ts'
import type { OfficerKey } from '../officer-key.ts'
import { ownerOf } from '../officers/signatory.ts'

export const approveUsage = `recovery approve BUNDLE --trust CARD (${officerKeyUsage}) [--sample N] [--dice TEXT] [--json]   an officer's word on a bundle; needs neither service nor database`

/**
 * An officer's approval of a ceremony, signed on the officer's own machine: every log of the bundle is
 * verified there, what follows is shown, and the words of the plan are typed from the paper. It becomes a
 * file of the bundle, which the air-gapped machine verifies again.
 */
export async function approveRecovery(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...officerKeyOptions,
      ...sampleOptions,
      trust: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const [path, extra] = positionals
  if (path === undefined || extra !== undefined || values.trust === undefined) {
    throw new UsageError(approveUsage)
  }
  const { bundle, trusted } = await openTrusted(path, values.trust)
  const matter = ceremonyMatter(trusted)
  const { roster } = trusted
  if (matter === null || roster === null) {
    throw new Refusal('the policies ask nobody for their approval of this ceremony')
  }
  const shown = await look(bundle, samplingOf(values, approveUsage))
  if (!values.json) show(trusted, shown)
  const terminal = openTerminal()
  try {
    await confirmWords(terminal, { what: 'the intent', digest: trusted.digest })
    return await withOfficerKey(values, { usage: approveUsage, terminal }, async (key) => {
      const person = await signInto(path, { matter, roster, key })
      if (values.json) printJson({ ceremony: trusted.intent.ceremony, person })
      else print(`approved by ${person}: ${escapeText(join(path, fileOf(person)))}`)
      return 0
    })
  } finally {
    terminal.close()
  }
}

const fileOf = (person: string) => `${APPROVALS_FOLDER}/${person}.json`

async function signInto(
  path: string,
  { matter, roster, key }: { matter: Matter; roster: Roster; key: OfficerKey },
): Promise<string> {
  const now = new Date()
  const owner = ownerOf(roster, key.did, now)
  if (matter.requester.kind === 'person' && matter.requester.id === owner.person) {
    throw new Refusal(`${owner.person} planned this, and so does not approve it`)
  }
  const seconds = Math.floor(now.getTime() / 1_000)
  if (seconds >= matter.terms.approveBy) throw new Refusal('it is too late to approve this plan')
  const statement = encodeStatement(
    statementOf(matter, {
      ...owner,
      decision: 'approve',
      role: 'officer',
      roster,
      nonce: Uint8Array.from(randomBytes(16)),
      notBefore: seconds,
    }),
  )
  const signature = await key.sign(preimageOf(statement))
  const evidence = encodeEvidence({ kind: 'did:key', did: key.did, signature })
  await mkdir(join(path, APPROVALS_FOLDER), { recursive: true, mode: 0o700 })
  const file = join(path, fileOf(owner.person))
  if (await writeOnce(file, renderApprovalFile({ statement, evidence }))) return owner.person
  throw new Refusal(`${escapeText(file)}: ${owner.person} has approved it already`)
}
