import { PolicyError } from '../../src/policy/error.ts'
import { parsePdsAddress } from '../../src/policy/pds-address.ts'
import { UsageError } from './command.ts'

/** `--pds URL`, by the rule of callers.yaml. @throws UsageError */
export function parsePdsOption(text: string, usage: string): string {
  try {
    return parsePdsAddress(text)
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    throw new UsageError(`${usage}\n--pds: ${error.message}`)
  }
}
