import { z } from 'zod'
import { changeKinds, keyMatches, ruleClasses } from '../policy-set.ts'
import { malformed, name, oneOrMore, parseDuration, parseFile, refuseRepeats } from './file.ts'

const uses = z.record(z.string(), z.int().min(0)).optional()
const persons = z.array(name).optional()

const caseSchema = z.strictObject({
  case: z.string().min(1).max(200),
  op: z.enum(ruleClasses),
  key: z.enum(keyMatches),
  diff: z.array(z.enum(changeKinds)).optional(),
  caller: name.optional(),
  inside: z.array(name).optional(),
  used: uses,
  usedByDid: uses,
  asks: name.optional(),
  agreed: z.strictObject({ cli: persons, console: persons }).optional(),
  expect: z.enum(['allow', 'deny', 'require', 'approved']),
  by: oneOrMore(z.string()).optional(),
  missing: oneOrMore(z.string()).optional(),
  within: z
    .strictObject({ approveBy: z.string(), executeBy: z.string(), delay: z.string().optional() })
    .optional(),
  alarm: z.boolean().optional(),
})

const testsFile = z.strictObject({
  tests: z.literal('holdfast/policy-tests/v1'),
  cases: oneOrMore(caseSchema),
})

type Seconds = { readonly approveBy: number; readonly executeBy: number; readonly delay: number }

/** One question to a set, and what it must answer. What is not said of the answer may be anything. */
export type TestCase = Omit<z.infer<typeof caseSchema>, 'within'> & {
  readonly file: string
  readonly within?: Seconds
}

/** @throws PolicyError `file-malformed`, naming the file and the case */
export function parseTestCases(file: string, text: string): TestCase[] {
  const { cases } = parseFile(file, text, testsFile)
  const names = cases.map((one) => one.case)
  refuseRepeats(file, 'case', names)
  return cases.map(({ within, ...rest }) => ({
    ...rest,
    file,
    ...(within === undefined ? {} : { within: secondsOf(`${file}: ${rest.case}`, within) }),
  }))
}

type Written = NonNullable<z.infer<typeof caseSchema>['within']>

function secondsOf(where: string, { approveBy, executeBy, delay }: Written): Seconds {
  const seconds = (text: string) => {
    const found = parseDuration(text)
    if (found === null)
      throw malformed(`${where}: within: write a time such as 90s, 10m, 24h or 7d`)
    return found
  }
  return {
    approveBy: seconds(approveBy),
    executeBy: seconds(executeBy),
    delay: delay === undefined ? 0 : seconds(delay),
  }
}
