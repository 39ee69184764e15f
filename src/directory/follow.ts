import { z } from 'zod'
import { DirectoryError } from './directory.ts'
import { get } from './json-get.ts'

/** One line of `GET /export?after=<seq>`: the directory's word, unverified. */
export type ExportLine = {
  readonly seq: number
  readonly did: string
  readonly cid: string
  readonly createdAt: string
}

/** What every directory of did:plc exports: all operations, in the order of their sequence. */
export type DirectoryExport = {
  /** The lines behind a sequence number, at most 1000; none: there is nothing newer. */
  page(after: number, signal: AbortSignal): Promise<ExportLine[]>
  /** The newest sequence number; 0: there is no operation. */
  newest(signal: AbortSignal): Promise<number>
}

const PAGE = 1_000
/** A thousand of the largest operations. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024

/**
 * With a number in `after` lines carry `seq`, and no `nullified`: that is derived from verified logs. With a
 * time, or with nothing, they carry no `seq`; such a line would lose the place, so it is refused.
 */
const line = z.object({
  type: z.literal('sequenced_op'),
  seq: z.number().int().positive(),
  did: z.string().regex(/^did:plc:[a-z2-7]{24}$/),
  cid: z.string().max(100),
  createdAt: z.string().max(40),
})

export function createDirectoryExport(baseUrl: string): DirectoryExport {
  const base = baseUrl.replace(/\/+$/, '')
  const read = async (after: number, count: number, signal: AbortSignal) =>
    parsePage(await readText(`${base}/export?count=${count}&after=${after}`, base, signal), {
      base,
      after,
    })
  return {
    page: async (after, signal) => await read(after, PAGE, signal),
    newest: async (signal) =>
      await newestBy(async (after) => (await read(after, 1, signal)).length > 0),
  }
}

/** There is no question for it: double until nothing is newer, then halve. */
async function newestBy(isOlder: (sequence: number) => Promise<boolean>): Promise<number> {
  let high = 1
  if (!(await isOlder(0))) return 0
  while (await isOlder(high)) high *= 2
  let low = Math.floor(high / 2)
  // Something is newer than `low`, nothing than `high`.
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (await isOlder(middle)) low = middle
    else high = middle
  }
  return high
}

async function readText(url: string, base: string, signal: AbortSignal): Promise<string> {
  const response = await get(url, { from: base, signal })
  if (!response.ok) {
    await response.body?.cancel().catch(() => undefined)
    const code = response.status === 429 ? 'rate-limited' : 'unknown'
    throw new DirectoryError(code, `${base} answered ${response.status} to its export`)
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_PAGE_BYTES) throw new DirectoryError('malformed', `${base}: too large an export`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsePage(text: string, { base, after }: { base: string; after: number }): ExportLine[] {
  const lines = text
    .split('\n')
    .filter((one) => one !== '')
    .map((one) => parseLine(one, base))
  const sequences = [after, ...lines.map(({ seq }) => seq)]
  if (sequences.some((seq, at) => at > 0 && seq <= (sequences[at - 1] ?? 0)))
    throw new DirectoryError('malformed', `${base} exports out of sequence`)
  return lines
}

function parseLine(text: string, base: string): ExportLine {
  try {
    const { seq, did, cid, createdAt } = line.parse(JSON.parse(text))
    return { seq, did, cid, createdAt }
  } catch (cause) {
    throw new DirectoryError('malformed', `${base} exports a line that is none of the sequence`, {
      cause,
    })
  }
}
