import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { signRequest, v1Call } from '../../support/aws-client.ts'
import { spawnNode, waitFor } from './child.ts'
import type { Child } from './child.ts'

/** The service as an operator runs it: a process, a data directory, and what it prints. */
export type Holdfast = {
  url: string
  dataDir: string
  /** The `NAME=value` lines for the PDS: printed by the first start, named as a file by later ones. */
  pdsEnv: Record<string, string>
  child: Child
  stop(): Promise<number | null>
}

export type HoldfastRequest = {
  id: string
  state: string
  class: string
  did: string | null
  rules: string[]
  signature: string | null
}

const checkout = resolve(import.meta.dirname, '../../..')

export async function startHoldfast(options: {
  dataDir: string
  plcUrl: string
  logFile: string
  /** What vendors' modules and SDKs see. */
  env?: Record<string, string>
  /** For one that is started again: the PDS knows where it was. */
  port?: number
}): Promise<Holdfast> {
  const { child } = spawnNode({
    // What `npm start` runs.
    args: [join(checkout, 'scripts/start.mjs')],
    env: {
      ...options.env,
      PATH: process.env['PATH'] ?? '',
      HOLDFAST_PORT: String(options.port ?? 0),
      HOLDFAST_DATA_DIR: options.dataDir,
      HOLDFAST_PLC_URL: options.plcUrl,
    },
    cwd: checkout,
    logFile: options.logFile,
    ipc: false,
  })
  const url = await waitFor(child, 60_000, () => readyUrl(child))
  const pdsEnv = await waitFor(child, 10_000, () => readPdsEnv(child, options.dataDir))
  return { url, dataDir: options.dataDir, pdsEnv, child, stop: () => child.stop() }
}

/** The caller's requests in one state, newest first, at most 100: as the PDS's own SigV4 pair sees them. */
export async function listRequests(holdfast: Holdfast, state: string): Promise<HoldfastRequest[]> {
  const { host } = new URL(holdfast.url)
  const key = {
    accessKeyId: holdfast.pdsEnv['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: holdfast.pdsEnv['AWS_SECRET_ACCESS_KEY'] ?? '',
  }
  const query = `limit=100&state=${state}`
  const signed = signRequest(v1Call('/v1/requests', query, key, { headers: { host } }))
  const response = await fetch(`${holdfast.url}${signed.target}`, {
    headers: signed.headers.filter(([name]) => name !== 'host'),
  })
  const body = (await response.json()) as { requests: HoldfastRequest[] }
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`)
  return body.requests
}

async function readyUrl(child: Child): Promise<string | undefined> {
  const url = /Holdfast is at (http\S+)/.exec(child.log())?.[1]
  if (url === undefined) return undefined
  const ready = await fetch(`${url}/readyz`)
  return ready.ok ? url : undefined
}

/** The doors open before the lines are printed; until then there is nothing to read. */
async function readPdsEnv(
  child: Child,
  dataDir: string,
): Promise<Record<string, string> | undefined> {
  const printed = parseEnv(child.log())
  if (Object.keys(printed).length > 0) return printed
  const path = join(dataDir, 'pds.env')
  return child.log().includes(`is in ${path}`) ? parseEnv(await readFile(path, 'utf8')) : undefined
}

function parseEnv(text: string): Record<string, string> {
  const lines = [...text.matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)]
  return Object.fromEntries(lines.map(([, name, value]) => [name, value]))
}
