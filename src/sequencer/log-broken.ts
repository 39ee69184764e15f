/**
 * The database does not hold the log that was checkpointed. Its message is shown to anybody: sizes and
 * indexes only.
 */
export class LogBroken extends Error {
  override readonly name = 'LogBroken'
}
