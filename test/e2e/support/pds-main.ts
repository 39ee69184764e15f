// The process of the PDS: what the self-hosting distribution's own index.js does, and nothing more.
// Every setting comes from the environment; no override is passed.
import { PDS, envToCfg, envToSecrets, readEnv } from '@atproto/pds'

const env = readEnv()
const pds = await PDS.create(envToCfg(env), envToSecrets(env))
await pds.start()
process.send?.({ ready: true, port: env.port })
const end = (): void => void pds.destroy().then(() => process.exit(0))
process.once('SIGTERM', end)
process.once('disconnect', end)
