import { openCheckpoint } from '../audit/checkpoint.ts'
import type { VerifiedCheckpoint } from '../audit/checkpoint.ts'
import { AuditError } from '../audit/error.ts'
import { formatNote, formatVkey, parseNote } from '../audit/note.ts'
import type { Ed25519Verify, NoteKey, NoteSignature } from '../audit/note.ts'
import { addCheckpointBody, countWitnesses, readWitnessAnswer } from '../audit/witness.ts'
import type { WitnessAnswer } from '../audit/witness.ts'
import type { AuditLogStore, PublishedCheckpoint } from './ports.ts'
import { readConsistency } from './read-node.ts'

export type Witness = { readonly url: string; readonly key: NoteKey }

/** What is kept of witnesses' words, in a database that is believed in none of it. */
export type CosignedStore = {
  /** Up to where each witness, by its verifier key, knows the log. */
  sizes(): Promise<ReadonlyMap<string, number>>
  keepSize(key: string, size: number): Promise<void>
  newest(): Promise<PublishedCheckpoint | null>
  /** Unless a later one is kept. */
  keep(cosigned: PublishedCheckpoint): Promise<void>
}

/** Sends a checkpoint to a witness, within a deadline; null: no answer. */
export type AskWitness = (
  url: string,
  body: string,
) => Promise<{ readonly status: number; readonly body: string } | null>

export type WitnessEvent =
  /** It has cosigned another history of this log: somebody shows two. */
  | { readonly kind: 'witness-inconsistent'; readonly witness: string }
  | { readonly kind: 'witness-silent'; readonly witness: string; readonly why: string }
  | { readonly kind: 'witness-back'; readonly witness: string }

type Trouble =
  | { readonly kind: 'witness-inconsistent' }
  | { readonly kind: 'witness-silent'; readonly why: string }

export type WitnessingDeps = {
  readonly witnesses: readonly Witness[]
  readonly quorum: number
  readonly log: Pick<AuditLogStore, 'checkpoint' | 'bodies' | 'tiles'>
  readonly store: CosignedStore
  /** The key of the log by its name of today; null: there is none. */
  readonly logKey: () => Promise<NoteKey | null>
  readonly ask: AskWitness
  readonly verify: Ed25519Verify
  readonly report: (event: WitnessEvent) => void
}

export type Witnessing = {
  /** Asks for what is not cosigned yet; whoever looks meanwhile is told of the look under way. */
  readonly look: () => Promise<void>
  /** The newest checkpoint that a quorum has cosigned, verified here and now; null: none. */
  readonly newest: () => Promise<VerifiedCheckpoint | null>
}

/**
 * Has checkpoints cosigned elsewhere (C2SP tlog-witness), apart from the log itself, which waits for no witness.
 * All are asked at once about the same checkpoint; a checkpoint with a quorum is kept.
 */
export function createWitnessing(deps: WitnessingDeps): Witnessing {
  const { witnesses, quorum, log, store, logKey, verify } = deps
  const troubles = new Map<string, Trouble['kind']>()
  let underWay: Promise<void> | null = null

  async function lookOnce(): Promise<void> {
    const [published, key] = [await log.checkpoint(), await logKey()]
    if (published === null || key === null) return
    const last = await newestBy(key)
    if (last !== null && last.size >= published.size) return
    const { size } = openCheckpoint(Buffer.from(published.note), [key], verify)
    const sizes = await store.sizes()
    const { text, signatures } = parseNote(Buffer.from(published.note))
    await askAll(async (witness, found) => {
      const old = sizes.get(formatVkey(witness.key)) ?? 0
      const cosignature = await cosign(witness, { note: published.note, size, old })
      if (cosignature !== null) found.push(cosignature)
      if (cosignature === null || found.length < quorum) return false
      await store.keep({ size, note: formatNote(text, [...signatures, ...found]) })
      return true
    })
  }

  /** Until a quorum is kept: who does not answer delays nobody, and whoever comes later is added. */
  async function askAll(
    ask: (witness: Witness, found: NoteSignature[]) => Promise<boolean>,
  ): Promise<void> {
    const found: NoteSignature[] = []
    await new Promise<void>((resolve, reject) => {
      const asked = witnesses.map(async (witness) => {
        if (await ask(witness, found)) resolve()
      })
      Promise.all(asked).then(() => resolve(), reject)
    })
  }

  async function newestBy(key: NoteKey): Promise<VerifiedCheckpoint | null> {
    const kept = await store.newest()
    if (kept === null) return null
    try {
      const keys = [key, ...witnesses.map((witness) => witness.key)]
      const opened = openCheckpoint(Buffer.from(kept.note), keys, verify)
      return countWitnesses(opened.cosignatures) >= quorum ? opened : null
    } catch (error) {
      // Of before a fork of the log, or written by somebody else: it proves nothing.
      if (error instanceof AuditError) return null
      throw error
    }
  }

  /** null: it has not cosigned this. */
  async function cosign(
    witness: Witness,
    asked: { readonly note: string; readonly size: number; readonly old: number },
  ): Promise<NoteSignature | null> {
    const { note, size } = asked
    let answer = await askOnce(witness, { note, size, old: Math.min(asked.old, size) })
    // Its own word on where it is, once: it lost its memory, or another instance was quicker.
    if (answer.kind === 'knows' && answer.size <= size) {
      answer = await askOnce(witness, { note, size, old: answer.size })
    }
    tell(witness.key.name, await eventOf(answer))
    if (answer.kind !== 'cosigned') return null
    await store.keepSize(formatVkey(witness.key), size)
    return answer.signature
  }

  async function askOnce(
    { url, key }: Witness,
    { note, size, old }: { readonly note: string; readonly size: number; readonly old: number },
  ): Promise<WitnessAnswer> {
    const proof = await readConsistency(log, { from: old, size })
    const answer = await deps.ask(url, addCheckpointBody({ old, proof, note }))
    if (answer === null) return { kind: 'refused', why: 'it does not answer' }
    const { text } = parseNote(Buffer.from(note))
    return readWitnessAnswer(answer, { text, witness: key, verify })
  }

  /** Every instance shows only what was published: a witness that knows more has it from somebody else. */
  async function isUnknown({ size }: { readonly size: number }): Promise<boolean> {
    return size > ((await log.checkpoint())?.size ?? 0)
  }

  async function eventOf(answer: WitnessAnswer): Promise<Trouble | null> {
    switch (answer.kind) {
      case 'cosigned':
        return null
      case 'inconsistent':
        return { kind: 'witness-inconsistent' }
      case 'knows':
        return (await isUnknown(answer))
          ? { kind: 'witness-inconsistent' }
          : { kind: 'witness-silent', why: 'it is ahead of what was shown to it' }
      case 'refused':
        return { kind: 'witness-silent', why: answer.why }
    }
  }

  /** Once, until it is another trouble or none: a look comes every second. */
  function tell(witness: string, trouble: Trouble | null): void {
    const before = troubles.get(witness)
    if (trouble === null) {
      if (troubles.delete(witness)) deps.report({ kind: 'witness-back', witness })
      return
    }
    troubles.set(witness, trouble.kind)
    if (before !== trouble.kind) deps.report({ ...trouble, witness })
  }

  return {
    look: async () => await (underWay ??= lookOnce().finally(() => (underWay = null))),
    newest: async () => {
      const key = await logKey()
      return key === null ? null : await newestBy(key)
    },
  }
}
