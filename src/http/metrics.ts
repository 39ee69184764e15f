import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { HttpEnv } from './env.ts'

/** One answer, in words of ours only: nothing in it was written by whoever asked. */
export type HttpAnswer = {
  /** A path of the routing table, such as `/v1/requests/:id`, or `other`. */
  readonly route: string
  readonly method: string
  readonly status: string
  readonly seconds: number
}

const METHODS = ['GET', 'HEAD', 'POST']

/** Tells `observe` of every answer, timed from where it stands among the handlers. */
export function observeAnswers(
  observe: (answer: HttpAnswer) => void,
  routes: readonly string[],
): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const start = performance.now()
    await next()
    const path = matchedRoutes(c).findLast((matched) => routes.includes(matched.path))?.path
    observe({
      route: path ?? 'other',
      method: METHODS.includes(c.req.method) ? c.req.method : 'other',
      status: String(c.res.status),
      seconds: (performance.now() - start) / 1000,
    })
  }
}
