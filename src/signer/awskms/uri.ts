import { SignerError } from '../signer.ts'

/** Where one key is, and how it is asked. */
export type AwsKmsUri = {
  /** A key's own ARN, never an alias. */
  readonly arn: string
  readonly region: string
  /** Origin, with a path where the provider has one; without a slash at its end. */
  readonly endpoint: string
  /** Signatures in a second, of this process: a share of the account's quota. */
  readonly rate: number
}

/** Where a key is made, and what its URI must say besides the ARN. */
export type AwsKmsPlace = Pick<AwsKmsUri, 'region' | 'endpoint'>

/** Below the lowest quota of an account and region that AWS documents for ECC keys (300). */
export const DEFAULT_RATE = 200
const MAX_RATE = 10_000

const KEY_ARN =
  /^arn:(aws|aws-us-gov|aws-cn):kms:([a-z]{2}(?:-[a-z]+)+-\d):\d{12}:key\/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/
const DOMAINS: Readonly<Record<string, string>> = {
  aws: 'amazonaws.com',
  'aws-us-gov': 'amazonaws.com',
  'aws-cn': 'amazonaws.com.cn',
}
const ATTRIBUTES = ['region', 'endpoint', 'rate']

/**
 * `awskms:///ARN[?region=R][&endpoint=URL][&rate=N]`, strictly. An alias is refused: whoever may call
 * `kms:UpdateAlias` would decide which key signs.
 * @throws SignerError `key-unusable`, naming what is wrong
 */
export function parseAwsKmsUri(uri: string): AwsKmsUri {
  const { path, attributes } = split(uri)
  const arn = KEY_ARN.exec(path)
  if (arn === null) {
    if (/(^|:)alias\//.test(path)) {
      throw refused('an alias can be pointed at another key; write the ARN of the key itself')
    }
    throw refused(
      'after awskms:/// must stand the ARN of a key: arn:aws:kms:REGION:ACCOUNT:key/KEY-ID',
    )
  }
  const [, partition = '', region = ''] = arn
  const named = attributes.get('region') ?? region
  if (named !== region) throw refused(`region=${named} is not the region of the ARN (${region})`)
  const endpoint = attributes.get('endpoint')
  return {
    arn: path,
    region,
    endpoint:
      endpoint === undefined ? `https://kms.${region}.${DOMAINS[partition]}` : toEndpoint(endpoint),
    rate: toRate(attributes.get('rate') ?? String(DEFAULT_RATE)),
  }
}

/** `region=` and `endpoint=` of the place where a key is to be made. @throws SignerError `key-unusable` */
export function parseAwsKmsPlace(uri: string): AwsKmsPlace {
  const { path, attributes } = split(uri)
  const region = attributes.get('region') ?? ''
  if (path !== '' || !/^[a-z]{2}(?:-[a-z]+)+-\d$/.test(region)) {
    throw refused('name the place as awskms:///?region=REGION')
  }
  if (attributes.has('rate')) throw refused('rate= is for keys')
  const endpoint = attributes.get('endpoint')
  const domain = region.startsWith('cn-') ? DOMAINS['aws-cn'] : DOMAINS['aws']
  return {
    region,
    endpoint: endpoint === undefined ? `https://kms.${region}.${domain}` : toEndpoint(endpoint),
  }
}

/** The URI by which `keys.yaml` refers to a key. */
export function formatAwsKmsUri(arn: string, { endpoint }: AwsKmsPlace): string {
  const uri = `awskms:///${arn}`
  const isAwsOwn = parseAwsKmsUri(uri).endpoint === endpoint
  return isAwsOwn ? uri : `${uri}?endpoint=${encodeURIComponent(endpoint)}`
}

function split(uri: string): { path: string; attributes: Map<string, string> } {
  const match = /^awskms:\/\/\/([^?#]*)(?:\?([^?#]+))?$/.exec(uri)
  if (match === null) throw refused('write awskms:///ARN')
  const attributes = new Map<string, string>()
  for (const part of match[2]?.split('&') ?? []) {
    const [name = '', ...value] = part.split('=')
    if (!ATTRIBUTES.includes(name)) {
      throw refused(`${JSON.stringify(name)} is no attribute; known are ${ATTRIBUTES.join(', ')}`)
    }
    if (attributes.has(name)) throw refused(`${name}= stands twice`)
    attributes.set(name, decode(name, value.join('=')))
  }
  return { path: match[1] ?? '', attributes }
}

function decode(name: string, value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw refused(`${name}= is not percent-encoded as a URI is`)
  }
}

/** Plain http is for emulators on this machine: the digests of others would go over the network. */
function toEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const isLocal = url !== null && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && isLocal))) {
    throw refused('endpoint= must be an https URL, or http on the loopback interface')
  }
  if (url.username !== '' || url.password !== '' || /[?#]/.test(url.href)) {
    throw refused('endpoint= must be a plain URL without user, query or fragment')
  }
  return url.href.replace(/\/+$/, '')
}

function toRate(text: string): number {
  const rate = Number(text)
  if (!/^[1-9]\d{0,4}$/.test(text) || rate > MAX_RATE) {
    throw refused(`rate= must be a whole number of signatures a second, 1 to ${MAX_RATE}`)
  }
  return rate
}

function refused(reason: string): SignerError {
  return new SignerError('key-unusable', `awskms uri: ${reason}`)
}
