export type PlcOperation = {
  type: 'plc_operation'
  rotationKeys: string[]
  verificationMethods: Record<string, string>
  alsoKnownAs: string[]
  services: Record<string, { type: string; endpoint: string }>
  prev: string | null
  sig: string
}
export type Tombstone = { type: 'plc_tombstone'; prev: string; sig: string }
/** What a log from before 2023 begins with; a test may load one, nobody can submit one. */
export type LegacyCreate = {
  type: 'create'
  signingKey: string
  recoveryKey: string
  handle: string
  service: string
  prev: null
  sig: string
}
export type Operation = PlcOperation | Tombstone
export type Entry = {
  did: string
  operation: Operation | LegacyCreate
  cid: string
  nullified: boolean
  createdAt: Date
}
export type Data = Pick<
  PlcOperation,
  'rotationKeys' | 'verificationMethods' | 'alsoKnownAs' | 'services'
>

/** A refusal as the directory words it: `{"message"}` with this status. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
