import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readLogEvidence, evidenceText } from '../../../scripts/offline/recovery/log-evidence.ts'
import { COSIGNATURE, formatNote, formatVkey, noteKey, parseNote } from '../../../src/audit/note.ts'
import { openEd25519 } from '../../../src/ed25519/openssl.ts'
import { runAuditVerify } from '../../support/audit-verify.ts'
import {
  beginning,
  counted,
  checkpointOf,
  logSigner,
  writeExport,
} from '../../support/exported-log.ts'

// What witnesses have cosigned stands in the place of a checkpoint that somebody kept.

const signer = logSigner()
const now = Math.floor(Date.now() / 1000)
const witness = openEd25519(Buffer.alloc(32, 9))
const key = noteKey('witness.example/w', COSIGNATURE, witness.publicKey)
const bodies = [
  beginning(signer, Date.UTC(2026, 0, 1)),
  ...Array.from({ length: 300 }, (_, n) => counted(n)),
]

let dir: string
let card: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-cosigned-'))
  card = join(dir, 'card.yaml')
  const lines = ['trust: holdfast/trust/v1', `log: "${signer.vkey}"`]
  await writeFile(card, `${lines.join('\n')}\nwitnesses: ["${formatVkey(key)}"]\n`)
  await writeFile(join(dir, 'none.yaml'), `${lines.join('\n')}\n`)
})
afterAll(async () => await rm(dir, { recursive: true }))

/** As a witness cosigns it (C2SP tlog-cosignature), at a time of its own. */
function cosigned(note: string, time = now): string {
  const { text, signatures } = parseNote(Buffer.from(note))
  const signature = witness.sign(Buffer.from(`cosignature/v1\ntime ${time}\n${text}`))
  const payload = Buffer.alloc(8 + signature.length)
  payload.writeBigUInt64BE(BigInt(time))
  payload.set(signature, 8)
  return formatNote(text, [...signatures, { name: key.name, id: key.id, payload }])
}

async function judged(
  entries: readonly Uint8Array[],
  note: string | null,
  { by = card, flags = [] as string[] } = {},
) {
  const folder = await writeExport(entries, signer, await mkdtemp(join(dir, 'export-')))
  if (note !== null) await writeFile(join(folder, 'cosigned'), note)
  const { code, text } = await runAuditVerify(folder, '--trust', by, '--json', ...flags)
  const { findings, missing } = JSON.parse(text) as Record<
    'findings' | 'missing',
    { message: string }[]
  >
  return { code, said: [...findings, ...missing].map(({ message }) => message) }
}

describe('an export with a cosigned checkpoint', () => {
  const older = () => cosigned(checkpointOf(bodies.slice(0, 270), signer).note)

  test('needs no other anchor, though the log has grown since', async () => {
    expect(await judged(bodies, older())).toEqual({ code: 0, said: [] })
    expect(await judged(bodies, cosigned(checkpointOf(bodies, signer).note))).toMatchObject({
      code: 0,
    })
  })

  test('is incomplete without it, with one too old, and for a card that names no witness', async () => {
    for (const result of [
      await judged(bodies, null),
      await judged(bodies, cosigned(checkpointOf(bodies, signer).note, now - 2 * 86_400)),
      await judged(bodies, older(), { by: join(dir, 'none.yaml') }),
    ]) {
      expect(result).toEqual({ code: 2, said: [expect.stringContaining('nothing from elsewhere')] })
    }
    const old = cosigned(checkpointOf(bodies, signer).note, now - 2 * 86_400)
    expect(await judged(bodies, old, { flags: ['--max-age', '3d'] })).toMatchObject({ code: 0 })
  })

  test('whose tail was cut off since is found', async () => {
    expect(await judged(bodies.slice(0, 269), older())).toEqual({
      code: 1,
      said: ['the cosigned checkpoint has 270 entries, the log 269: its tail was cut off'],
    })
  })

  test('whose history is another one is found', async () => {
    const other = [...bodies.slice(0, 100), counted(9_999), ...bodies.slice(101)]
    expect(await judged(other, older())).toEqual({
      code: 1,
      said: ['the cosigned checkpoint has another root at 270 entries'],
    })
  })

  test('whose cosignature is forged is found', async () => {
    const forged = older().replace(/.{8}\n$/, 'AAAAAAA=\n')
    const folder = await writeExport(bodies, signer, await mkdtemp(join(dir, 'export-')))
    await writeFile(join(folder, 'cosigned'), forged)
    expect((await runAuditVerify(folder, '--trust', card)).code).toBe(1)
  })
})

describe('what is brought into the room of a ceremony', () => {
  const shown = async (note: string) => {
    const path = join(dir, 'brought')
    await writeFile(path, note)
    return evidenceText(await readLogEvidence(path, card))
  }

  test('says which witness vouches for how much of the log, or that none does', async () => {
    const { note } = checkpointOf(bodies, signer)
    expect(await shown(cosigned(note))).toContain(
      `301 entries of ${signer.origin}; cosigned by witness.example/w at 20`,
    )
    expect(await shown(note)).toContain('ABSENT: cosigned by no witness')
    expect(evidenceText(null)).toContain('ABSENT, no checkpoint of it was brought')
  })

  test('is not another log’s', async () => {
    const other = logSigner(2, 'other.example/audit/1')
    await expect(shown(checkpointOf(bodies, other).note)).rejects.toThrow(/has signed/)
  })
})
