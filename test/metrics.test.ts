import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../src/client/client.ts'
import type { HoldfastClient } from '../src/client/client.ts'
import { StoreBusyError } from '../src/custody/ports.ts'
import { measuredAction, measuredDecode, measuredSigner, measuredSubmit } from '../src/measured.ts'
import { createMetrics, createRender } from '../src/metrics.ts'
import type { Backlog, Metrics } from '../src/metrics.ts'
import { decodeUnsignedOperation } from '../src/plc/encode.ts'
import { schemeOf } from '../src/signer/backends.ts'
import { SignerError } from '../src/signer/signer.ts'
import type { Signer } from '../src/signer/signer.ts'
import { genesisOf, renamed } from './support/operations.ts'
import { startService } from './support/service.ts'
import type { Service } from './support/service.ts'

/** One series and its value, by the text format of Prometheus. */
function seriesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const match = /^([a-z_][a-z0-9_]*(?:\{[^{}]*\})?) (\S+)$/.exec(line)
      if (match === null) throw new Error(`no series: ${line}`)
      return [match[1] ?? '', Number(match[2] === 'Nan' ? NaN : match[2])]
    }),
  )
}

const bare = (): Metrics => createMetrics({ processMetrics: false })
const shown = async (metrics: Metrics): Promise<Map<string, number>> =>
  seriesOf(await metrics.registry.metrics())
const noBacklog: Backlog = { waiting: new Map(), identities: 0, oldestUnconfirmedSeconds: null }

describe('the metrics of a service at work', () => {
  let service: Service
  let client: HoldfastClient
  let series: Map<string, number>
  let text: string

  beforeAll(async () => {
    service = await startService()
    client = createClient({ url: service.url, credential: service.pds })
    const first = await client.propose({
      key: 'pds',
      operation: genesisOf('measured-1', [service.keyDid]),
    })
    const { did, cid, signedOperation } = await client.sign(first.id)
    await client.submit(first.id)
    const base = { did: did ?? '', cid: cid ?? '', operation: signedOperation! }
    const update = await client.propose({ key: 'pds', operation: renamed(base, 'measured-2') })
    await client.sign(update.id)
    service.directory.fail({ on: 'submit', mode: 'too many', times: 1 })
    await client.submit(update.id)
    service.directory.fail({ on: 'submit', mode: 'refuse', times: 1 })
    await client.submit(update.id)
    await client
      .propose({ key: 'pds', operation: genesisOf('measured-3', []) })
      .catch(() => undefined)
    await client.propose({ key: 'pds', unsigned: 'oA==' }).catch(() => undefined)
    await client.propose({ key: 'pds', operation: genesisOf('measured-4', [service.keyDid]) })
    await client.readRequest(first.id)
    await client.readiness()
    await fetch(`${service.url}/nothing/${did}`)
    text = await client.metrics()
    series = seriesOf(text)
  })
  afterAll(async () => await service.stop())

  it.each<[string, number]>([
    ['holdfast_action_seconds_count{action="propose",outcome="proposed"}', 3],
    ['holdfast_action_seconds_count{action="propose",outcome="denied"}', 1],
    ['holdfast_action_seconds_count{action="propose",outcome="malformed"}', 1],
    ['holdfast_action_seconds_count{action="sign",outcome="signed"}', 2],
    ['holdfast_action_seconds_count{action="submit",outcome="sent"}', 3],
    ['holdfast_step_seconds_count{step="decode",outcome="malformed"}', 1],
    ['holdfast_step_seconds_count{step="claim",outcome="claimed"}', 2],
    ['holdfast_step_seconds_count{step="claim",outcome="proposed"}', 3],
    ['holdfast_step_seconds_count{step="claim",outcome="denied"}', 1],
    ['holdfast_step_seconds_count{step="record",outcome="ok"}', 2],
    ['holdfast_step_seconds_count{step="directory_submit",outcome="accepted"}', 1],
    ['holdfast_step_seconds_count{step="directory_submit",outcome="refused"}', 1],
    ['holdfast_step_seconds_count{step="directory_submit",outcome="unknown"}', 1],
    ['holdfast_key_seconds_count{backend="file",outcome="ok"}', 2],
    ['holdfast_denied_total{action="propose",rule="PLC-ROTATION-KEYS-EMPTY"}', 1],
    ['holdfast_refused_total{status="429"}', 1],
    ['holdfast_unknown_total{of="submission"}', 1],
    ['holdfast_waiting_requests{state="approved"}', 1],
    ['holdfast_waiting_requests{state="submitted"}', 0],
    ['holdfast_identities', 1],
    ['holdfast_oldest_unconfirmed_submission_seconds', 0],
    ['holdfast_http_seconds_count{route="/v1/requests/:id/sign",method="POST",status="200"}', 2],
    ['holdfast_http_seconds_count{route="other",method="GET",status="404"}', 1],
  ])('%s is %d', (name, value) => {
    expect(series.get(name)).toBe(value)
  })

  it('say when the directory last answered', () => {
    const at = series.get('holdfast_directory_last_success_timestamp_seconds') ?? 0
    expect(Math.abs(Date.now() / 1000 - at)).toBeLessThan(60)
  })

  it('time verification, reading the directory and finding the operation before', () => {
    for (const step of ['verify', 'directory_read', 'directory_ping', 'find_previous']) {
      const name = `holdfast_step_seconds_count{step="${step}",outcome="ok"}`
      expect([name, series.get(name) ?? 0]).toEqual([name, expect.any(Number)])
      expect(series.get(name)).toBeGreaterThan(0)
    }
  })

  it('hold no DID, caller, key, credential or word of somebody outside', () => {
    const { accessKeyId, secretAccessKey, token } = service.pds
    for (const secret of [
      accessKeyId,
      secretAccessKey,
      token,
      'did:',
      'zQ3s',
      'measured',
      'bafy',
    ]) {
      expect(text).not.toContain(secret)
    }
    expect(text).not.toMatch(/"pds"/)
  })

  it('of the process are there too', () => {
    expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(0)
  })
})

it('docs/operations.md has a row for each metric of ours, and for no other', async () => {
  const text = await readFile(new URL('../docs/operations.md', import.meta.url), 'utf8')
  const documented = [...text.matchAll(/^\| `(holdfast_[a-z_]+)` \|/gm)].map(([, name]) => name)
  const names = bare()
    .registry.getMetricsAsArray()
    .map(({ name }) => name)
  expect(new Set(documented)).toEqual(new Set(names))
  // An alert on a metric that is not there would never fire.
  const used = text.match(/\bholdfast_[a-z_]+/g) ?? []
  const series = names.flatMap((name) => [name, `${name}_count`, `${name}_bucket`])
  expect(used.filter((name) => !series.includes(name))).toEqual([])
})

describe('an action', () => {
  it('that is busy or fails is counted apart from what is denied', async () => {
    const metrics = bare()
    const answers = ['busy', 'denied', 'signed']
    const act = measuredAction(metrics, 'sign', async (kind: string) => {
      if (kind === 'away') throw new StoreBusyError('away')
      if (kind === 'broken') throw new TypeError('broken')
      return { kind, rule: 'RULE' }
    })
    for (const kind of answers) expect(await act(kind)).toMatchObject({ kind })
    await expect(act('away')).rejects.toThrow('away')
    await expect(act('broken')).rejects.toThrow('broken')
    const series = await shown(metrics)
    expect(series.get('holdfast_busy_total{action="sign"}')).toBe(2)
    expect(series.get('holdfast_failed_total{action="sign"}')).toBe(1)
    expect(series.get('holdfast_denied_total{action="sign",rule="RULE"}')).toBe(1)
    for (const outcome of ['denied', 'signed', 'failed']) {
      expect(series.get(`holdfast_action_seconds_count{action="sign",outcome="${outcome}"}`)).toBe(
        1,
      )
    }
    expect(series.get('holdfast_action_seconds_count{action="sign",outcome="busy"}')).toBe(2)
  })

  it('makes no more than 101 series of rules, whatever they are called', async () => {
    const metrics = bare()
    const act = measuredAction(metrics, 'sign', async (rule: string) => ({ kind: 'denied', rule }))
    for (let n = 0; n < 1_000; n += 1) await act(`RULE-${n}`)
    const denied = [...(await shown(metrics))].filter(([name]) => name.includes('denied_total'))
    expect(denied).toHaveLength(101)
    expect(denied.at(-1)).toEqual(['holdfast_denied_total{action="sign",rule="other"}', 900])
  })
})

describe('a key', () => {
  const signerThat = (sign: Signer['sign']): Signer => ({
    sign,
    check: async () => {},
    close: async () => {},
  })
  const use = async (metrics: Metrics, uri: string, sign: Signer['sign']) => {
    const signer = measuredSigner(metrics, schemeOf(uri), signerThat(sign))
    await signer.sign({} as never, AbortSignal.timeout(1_000)).catch(() => undefined)
  }

  it('is measured by its backend; one that does not answer is unknown', async () => {
    const metrics = bare()
    await use(metrics, 'awskms:///alias/x?region=eu', async () => ({
      signature: new Uint8Array(64),
      home: null,
      requestId: null,
    }))
    await use(metrics, 'pkcs11:token=t;object=o', async () => {
      throw new SignerError('timeout', 'no answer')
    })
    await use(metrics, 'file:pds', async () => {
      throw new TypeError('broken')
    })
    const series = await shown(metrics)
    expect(series.get('holdfast_key_seconds_count{backend="awskms",outcome="ok"}')).toBe(1)
    expect(series.get('holdfast_key_seconds_count{backend="pkcs11",outcome="timeout"}')).toBe(1)
    expect(series.get('holdfast_key_seconds_count{backend="file",outcome="failed"}')).toBe(1)
    expect(series.get('holdfast_unknown_total{of="key"}')).toBe(1)
  })
})

describe('what is measured', () => {
  it('does what it did without', async () => {
    const metrics = bare()
    const decode = measuredDecode(metrics, decodeUnsignedOperation)
    expect(() => decode(new Uint8Array([1]))).toThrow('operation')
    const submit = measuredSubmit(metrics, async () => ({ kind: 'accepted' }))
    expect(await submit({} as never, AbortSignal.timeout(1_000))).toEqual({ kind: 'accepted' })
  })
})

describe('the backlog', () => {
  it('is read once for all who scrape within 15 seconds, and the text is written once in one', async () => {
    const metrics = bare()
    let reads = 0
    let now = 0
    const render = createRender(
      metrics,
      async () => {
        reads += 1
        return { ...noBacklog, identities: reads, waiting: new Map([['approved', reads]]) }
      },
      () => now,
    )
    await render()
    now = 14_999
    expect(seriesOf(await render()).get('holdfast_identities')).toBe(1)
    metrics.busy.inc({ action: 'sign' })
    now = 15_998
    expect(await render()).not.toContain('holdfast_busy_total{')
    now = 15_999
    expect(await render()).toContain('holdfast_busy_total{')
    now = 17_000
    const series = seriesOf(await render())
    expect(series.get('holdfast_identities')).toBe(2)
    expect(series.get('holdfast_waiting_requests{state="approved"}')).toBe(2)
  })

  it.each<[string, () => Promise<Backlog>]>([
    ['fails', async () => await Promise.reject(new Error('password=hunter2'))],
    ['is slow', async () => await sleep(60_000, noBacklog, { ref: false })],
  ])('that %s is left out, and the rest is answered', async (_name, readBacklog) => {
    const metrics = bare()
    metrics.waiting.set({ state: 'approved' }, 7)
    metrics.busy.inc({ action: 'sign' })
    const text = await createRender(metrics, readBacklog, Date.now)()
    const series = seriesOf(text)
    expect(text).not.toContain('hunter2')
    expect(series.get('holdfast_identities')).toBeNaN()
    expect(series.has('holdfast_waiting_requests{state="approved"}')).toBe(false)
    expect(series.get('holdfast_busy_total{action="sign"}')).toBe(1)
  })
})
