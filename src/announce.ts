import { pdsEnvPath } from './config.ts'
import type { Context } from './context.ts'
import {
  developmentCaller,
  developmentKey,
  pdsEnvironment,
  renderEnv,
  writePdsEnv,
} from './development.ts'
import { addCredential, credentialsInForce } from './store/callers.ts'

/** Says where the service is and what a PDS needs. The secret is printed once, when it is made. */
export async function announce(
  context: Context,
  { url, print }: { url: string; print: (line: string) => void },
): Promise<void> {
  const { config } = context
  print(`Holdfast is at ${config.publicUrl ?? url} (env: ${context.policies.env})`)
  for (const warning of context.warnings) print(`Warning: ${warning}`)
  if (hasDevelopmentCaller(context)) await announcePds(context, { url, print })
}

/** Only what a development start made itself; other callers get theirs from `callers add`. */
function hasDevelopmentCaller({ policies }: Context): boolean {
  const caller = policies.callers.find(({ name }) => name === developmentCaller)
  return policies.env === 'dev' && caller?.keys.includes(developmentKey) === true
}

async function announcePds(
  { config, policies, db, sealer }: Context,
  { url, print }: { url: string; print: (line: string) => void },
): Promise<void> {
  const path = pdsEnvPath(config)
  const known = (await credentialsInForce(db, sealer)).find(
    ({ caller }) => caller === developmentCaller,
  )
  const made = known === undefined ? await addCredential(db, sealer, developmentCaller) : null
  const credential = known ?? {
    accessKeyId: made?.accessKeyId ?? '',
    secret: made?.secretAccessKey ?? '',
  }
  const env = pdsEnvironment({ config, policies, doorUrl: `${url}/kms`, credential })
  await writePdsEnv(path, env)
  if (made === null) return print(`What a PDS needs in its environment is in ${path}`)
  print(`What a PDS needs in its environment (kept in ${path}; the secret is not printed again):`)
  print(renderEnv(env).trimEnd())
}
