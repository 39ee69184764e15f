import type { Incoming } from './received.ts'

/** What is known of a request by the time it is logged. */
export type Facts = { caller?: string; officer?: string; action?: string; code?: string }

/** Hono's context in every door: Node's own request beside it, since only that shows repeated headers. */
export type HttpEnv = {
  Bindings: { incoming: Incoming }
  Variables: { correlationId: string; facts: Facts }
}

/** The part of the logger that the doors use. */
export type HttpLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
