import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** Requests prepared beforehand, so that the client's own work is as small as it can be. */
export type Prepared = { headers: [string, string][]; body: string }
export type Job = {
  url: string
  concurrency: number
  requests: Prepared[]
  /** Each is due at its time, whatever became of those before; null: as fast as they are answered. */
  perSecond: number | null
}
export type LoadResult = { seconds: number; milliseconds: number[]; answers: string[] }

/** A process of its own, as a PDS is: it shares no event loop with what it measures. */
process.once('message', (job: Job) => {
  void run(job).then((result) => process.send?.(result, () => process.disconnect()))
})

async function run(job: Job): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: job.concurrency })
  const milliseconds: number[] = []
  const answers: string[] = []
  let next = 0
  const started = performance.now()
  const worker = async () => {
    for (let index = next++; index < job.requests.length; index = next++) {
      const due = job.perSecond === null ? 0 : started + (index * 1_000) / job.perSecond
      if (due > performance.now()) await sleep(due - performance.now())
      // From when it was due: a service that stops for a while must not look fast.
      const sent = job.perSecond === null ? performance.now() : due
      answers[index] = await send(job.url, agent, job.requests[index] as Prepared)
      milliseconds.push(performance.now() - sent)
    }
  }
  await Promise.all(Array.from({ length: job.concurrency }, worker))
  agent.destroy()
  return { seconds: (performance.now() - started) / 1000, milliseconds, answers }
}

function send(url: string, agent: Agent, { headers, body }: Prepared): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { method: 'POST', agent, headers: Object.fromEntries(headers) },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
        response.on('error', reject)
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
