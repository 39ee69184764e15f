import type { Hono } from 'hono'
import { publicOrigin } from './config.ts'
import type { Context } from './context.ts'
import { reportTo } from './events.ts'
import { createApp } from './http/app.ts'
import type { HttpEnv } from './http/env.ts'
import { showRequest } from './http/v1/show-request.ts'
import type { Logger } from './logger.ts'
import { createRender } from './metrics.ts'
import { readBacklog } from './store/backlog.ts'
import { orBusy } from './store/database.ts'
import { createCredentialFinder, credentialsInForce } from './store/callers.ts'
import { createUseOnce } from './store/officer-calls.ts'
import { listRequests, readRequest } from './store/request-views.ts'
import type { ShownRequest } from './store/request-views.ts'
import { watched, watchedCall } from './tampering.ts'
import { TrustError } from './trust/error.ts'

/** The front doors over a context. */
export async function doorsOf(context: Context, log: Logger): Promise<Hono<HttpEnv>> {
  const { db, sealer, policies } = context
  const report = reportTo(log)
  const [list, read] = [watchedCall(listRequests, report), watchedCall(readRequest, report)]
  const show = async (found: ShownRequest) =>
    showRequest({ ...found, asked: await context.showAsked(found.request) })
  return createApp({
    log,
    now: () => new Date(),
    findCredential: watchedCall(createCredentialFinder(db, sealer), report),
    // Opening them also proves that the sealing secret is the right one.
    initialCredentials: await credentialsInForce(db, sealer),
    keysOf: (caller) => {
      const granted = policies.callers.find(({ name }) => name === caller)?.keys ?? []
      return policies.keys.filter((key) => granted.includes(key.id))
    },
    signNow: context.signNow,
    passkeys: watched(context.passkeys, report),
    propose: context.propose,
    proposeAnew: context.proposeAnew,
    say: context.say,
    signRequest: context.signRequest,
    submit: context.submit,
    cancel: context.cancel,
    readCheckpoint: async () => await orBusy(() => context.auditLog.store.checkpoint()),
    readCosigned: async () => await orBusy(async () => await context.witnesses.newest()),
    readEntries: async (from, to) => await orBusy(() => context.auditLog.store.bodies(from, to)),
    proveEntry: async (index) => await orBusy(() => context.auditLog.prove(index)),
    listRequests: async (query) => await Promise.all((await list(db, sealer, query)).map(show)),
    readRequest: async (query) => {
      const found = await read(db, sealer, query)
      return found === null ? null : await show(found)
    },
    officers: {
      roster: policies.roster,
      audience: publicOrigin(context.config),
      verify: context.verify,
      useOnce: createUseOnce(db),
    },
    freeze: async (input) => {
      try {
        return await context.freeze(input)
      } catch (error) {
        if (error instanceof TrustError && error.code === 'refused') return null
        throw error
      }
    },
    allKeys: policies.keys,
    readiness: context.readiness,
    metrics: createRender(context.metrics, async () => await readBacklog(db), Date.now),
    observe: ({ seconds, ...labels }) => context.metrics.http.observe(labels, seconds),
  })
}
