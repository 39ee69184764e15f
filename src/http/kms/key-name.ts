import type { KeyConfig } from '../../policy/policy-set.ts'

/** The account in every ARN of ours. AWS has none of this number, nor a region `holdfast`. */
export const ACCOUNT = '000000000000'

const ALIAS = /^alias\/(.+)$/
const ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]*:[0-9]*:(?:key|alias)\/(.+)$/

/**
 * The configured id in what an operator may paste into a PDS: the id itself, `alias/ID`, or an ARN that ends in
 * `key/ID` or `alias/ID`, ours or one of AWS. Region and account are not looked at: the id alone chooses.
 */
export function keyIdOf(name: string): string {
  return (ALIAS.exec(name) ?? ARN.exec(name))?.[1] ?? name
}

export function arnOf(key: KeyConfig): string {
  return `arn:aws:kms:holdfast:${ACCOUNT}:key/${key.id}`
}
