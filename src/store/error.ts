export type StoreErrorCode =
  /** What the database returned is not what was stored. Somebody changed it; nothing is signed. */
  | 'row-tampered'
  /** A sealed value does not open: another HOLDFAST_SECRET_FILE, or a row moved to another place. */
  | 'seal-broken'
  /** Something else is on record under that name; it is left as it is. */
  | 'conflict'
  /** The schema is another version's, and nobody is here who may change it. */
  | 'schema'
  /** The application's role is the owner. */
  | 'roles'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
