import { Refusal } from './command.ts'

/** Whoever sits there, or a program that answers line by line on standard input. */
export type Terminal = {
  /** Not shown while it is typed. The caller clears it. */
  askSecret(question: string): Promise<Buffer>
  askLine(question: string): Promise<string>
  close(): void
}

const MAX_ANSWER_BYTES = 4096
const CTRL_C = 0x03
const CTRL_D = 0x04
const BACKSPACE = 0x08
const LINE_FEED = 0x0a
const RETURN = 0x0d
const DELETE = 0x7f

export function openTerminal(): Terminal {
  const input = process.stdin
  const isTyped = input.isTTY
  const waiting: number[] = []
  const state = { ended: false, wake: () => {} }
  const hear = (chunk: Buffer) => {
    waiting.push(...chunk)
    chunk.fill(0)
    state.wake()
  }
  const end = () => {
    state.ended = true
    state.wake()
  }
  input.on('data', hear).on('end', end).pause()

  async function readByte(): Promise<number | null> {
    while (waiting.length === 0 && !state.ended) {
      await new Promise<void>((resolve) => {
        state.wake = resolve
        input.resume()
      })
    }
    input.pause()
    return waiting.shift() ?? null
  }

  async function readAnswer(): Promise<Buffer> {
    const answer = Buffer.alloc(MAX_ANSWER_BYTES)
    let length = 0
    for (;;) {
      const byte = await readByte()
      if (byte === CTRL_C) throw new Refusal('stopped')
      if (byte === LINE_FEED || (byte === RETURN && isTyped)) break
      if (byte === null || (byte === CTRL_D && isTyped)) {
        if (length === 0) throw new Refusal('no answer: standard input has ended')
        break
      }
      if (isTyped && (byte === DELETE || byte === BACKSPACE)) length = Math.max(0, length - 1)
      else if (length === MAX_ANSWER_BYTES) throw new Refusal('the answer is too long')
      else answer[length++] = byte
    }
    const isReturn = !isTyped && length > 0 && answer[length - 1] === RETURN
    const text = Buffer.from(answer.subarray(0, isReturn ? length - 1 : length))
    answer.fill(0)
    return text
  }

  return {
    askSecret: async (question) => {
      // Before the question: whoever answers at once would see it on the screen.
      if (isTyped) input.setRawMode(true)
      process.stderr.write(`${question}: `)
      try {
        return await readAnswer()
      } finally {
        if (isTyped) input.setRawMode(false)
        process.stderr.write('\n')
      }
    },
    askLine: async (question) => {
      process.stderr.write(`${question}: `)
      return (await readAnswer()).toString('utf8')
    },
    close: () => {
      input.off('data', hear).off('end', end).pause()
      waiting.fill(0)
    },
  }
}
