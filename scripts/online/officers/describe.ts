import type { Signatory } from '../../../src/approval/matter.ts'
import { escapeText } from '../../../src/plc/text.ts'
import { requirementText } from '../../../src/policy/compare.ts'
import type { Grounds } from './grounds.ts'
import { displayWords } from './review.ts'
import type { AskedView } from './review.ts'

/**
 * What the officer reads before signing. Only printable ASCII and line feeds, whoever wrote it. All of it
 * was computed on this machine, but for who has spoken already, and for what a doubt says.
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
    ...saidLines(view),
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

function saidLines({ approval }: AskedView): string[] {
  if (approval.said.length === 0) return ['nobody has spoken yet, by the word of the service']
  return [
    'has spoken, by the word of the service:',
    ...approval.said.map(
      ({ person, decision, counts }) =>
        `  ${escapeText(person)}: ${decision}${counts ? '' : ', which counts for nothing'}`,
    ),
  ]
}
