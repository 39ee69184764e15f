// What the service's own settings and other backends' credentials are called.
const OURS = /^(HOLDFAST_|DATABASE_|AWS_|PDS_|PG[A-Z]+$|NODE_|UV_)/

/**
 * The part of the service's environment that a vendor's module may see: its own settings
 * (`SOFTHSM2_CONF`, `CHRYSTOKI_CONF` and the like), and no secrets of ours.
 */
export function moduleEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !OURS.test(name)))
}
