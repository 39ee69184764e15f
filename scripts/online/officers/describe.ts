import type { Signatory } from '../../../src/approval/matter.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { requirementText } from '../../../src/policy/compare.ts'
import type { Grounds } from './grounds.ts'
import { displayWords } from './review.ts'
import type { AskedView } from './review.ts'
import type { Spoken } from './said.ts'

/**
 * What the officer reads before signing. Only printable ASCII and line feeds, whoever wrote it. All of it
 * was computed on this machine, but for what a doubt is about.
 */
export function describeGrounds(input: {
  readonly view: AskedView
  readonly grounds: Grounds
  readonly signatory: Pick<Signatory, 'person' | 'credential' | 'decision'>
}): string {
  const { view, grounds, signatory } = input
  const { person, credential, decision } = signatory
  const words = displayWords(grounds.matter)
  return [
    `request ${view.id}, ${grounds.kind === 'computed' ? 'computed on this machine' : 'AS THE SERVICE SHOWS IT'}:`,
    '',
    // Of the service's own text nothing reaches the terminal that it would obey.
    grounds.matter.display.trimEnd().replace(/[^ -~\n]/g, '?'),
    ...(grounds.kind === 'computed' ? computedLines(grounds) : doubtLines(grounds)),
    ...(grounds.kind === 'computed' ? spokenLines(grounds.spoken) : shownLines(view)),
    '',
    `You ${decision === 'approve' ? 'APPROVE' : 'REJECT, for good,'} this as ${person}, with ${credential}.`,
    `The ${words.length} words of what is shown above:`,
    ...words.map((word, index) => `  ${index + 1}. ${word}`),
  ].join('\n')
}

function computedLines({ review }: Grounds & { readonly kind: 'computed' }): string[] {
  const { facts, decision } = review
  return [
    `class: ${facts.operationClass}; changes: ${facts.changeKinds.join(', ') || 'all'}`,
    ...decision.requirements.map((asked) => `rule ${asked.rule} needs ${requirementText(asked)}`),
  ]
}

function doubtLines({ doubt }: Grounds & { readonly kind: 'doubted' }): string[] {
  return ['', 'WARNING: this could not be confirmed here, and so could not be approved:', doubt]
}

function spokenLines({ said, missing }: Spoken): string[] {
  return [
    said.length === 0 ? 'nobody has spoken yet' : 'has spoken, as verified on this machine:',
    ...said.map(
      (given) =>
        `  ${given.person}: ${given.decision}${given.void === null ? '' : `, which counts for nothing: ${given.void}`}`,
    ),
    ...missing.map((lack) => `still missing: ${lack}`),
  ]
}

function shownLines({ approval }: AskedView): string[] {
  const said = approval.said.map(({ person, decision }) => `  ${escapeText(person)}: ${decision}`)
  return said.length === 0 ? [] : ['has spoken, by the word of the service:', ...said]
}
