/** One line of a file: its number, from 1; its bytes, null when there are too many of them. */
export type Line = { readonly number: number; readonly bytes: Buffer | null }

const NEWLINE = 0x0a

/**
 * Splits a stream into lines without ever holding more than one of them: a file of any size takes
 * the same memory, and a line without end is passed over.
 */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  { maxBytes, onBytes = () => {} }: { maxBytes: number; onBytes?: (count: number) => void },
): AsyncGenerator<Line> {
  let number = 1
  let parts: Buffer[] = []
  let size = 0
  const take = (bytes: Buffer) => {
    size += bytes.length
    if (size > maxBytes) parts = []
    else parts.push(bytes)
  }
  const end = (): Line => {
    const line = { number, bytes: size > maxBytes ? null : Buffer.concat(parts) }
    number += 1
    parts = []
    size = 0
    return line
  }
  for await (const part of stream) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    let start = 0
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, at))
      start = at + 1
      yield end()
    }
    take(chunk.subarray(start))
    onBytes(chunk.length)
  }
  if (size > 0) yield end()
}
