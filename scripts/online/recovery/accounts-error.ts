/** Why accounts could not be listed; nothing was begun. */
export class AccountsError extends Error {
  override readonly name = 'AccountsError'
}
