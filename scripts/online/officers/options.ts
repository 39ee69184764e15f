// What a command line may say, apart from what does it: other commands do not load tokens and age.

/** For `parseArgs`. */
export const officerKeyOptions = {
  'key-file': { type: 'string' },
  'passphrase-file': { type: 'string' },
  token: { type: 'string' },
} as const

export const officerKeyUsage = '--key-file FILE [--passphrase-file FILE] | --token URI'

export const speakUsage =
  `requests approve|reject|cancel ID (${officerKeyUsage}) [--policies DIR] ` +
  '[--plc-url URL | --log FILE] [--confirm "WORD …"] [--url URL] [--json]'

/** What an officer does with a request. To cancel is to reject, as a rule during the delay. */
export type Verb = 'approve' | 'reject' | 'cancel'
