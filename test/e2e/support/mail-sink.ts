import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A mail server that keeps what it is given: the PDS's own mailer speaks plain SMTP to it, so the
 *  token a test uses is the one a user would read. */
export type MailSink = {
  /** For `PDS_EMAIL_SMTP_URL`. */
  url: string
  /** Waits for the next mail to `address` that was not read before; the decoded text of it. */
  next(address: string): Promise<string>
  stop(): Promise<void>
}

type Mail = { to: string[]; text: string; read: boolean }

const WAIT_MS = 10_000

export async function startMailSink(): Promise<MailSink> {
  const mails: Mail[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    receive(socket, (mail) => mails.push(mail))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: (address) => nextMail(mails, address),
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function nextMail(mails: Mail[], address: string): Promise<string> {
  for (const until = Date.now() + WAIT_MS; Date.now() < until; await sleep(20)) {
    const mail = mails.find((mail) => !mail.read && mail.to.includes(address))
    if (mail === undefined) continue
    mail.read = true
    return mail.text
  }
  throw new Error(`no mail to ${address} in ${WAIT_MS} ms`)
}

function receive(socket: Socket, keep: (mail: Mail) => void): void {
  let buffered = ''
  let to: string[] = []
  let body: string[] | null = null
  const answer = (line: string): void => void socket.write(`${line}\r\n`)
  const take = (line: string): void => {
    if (body !== null) {
      if (line !== '.') return void body.push(line)
      keep({ to, text: decodeQuotedPrintable(body.join('\r\n')), read: false })
      to = []
      body = null
      return answer('250 kept')
    }
    const verb = line.slice(0, 4).toUpperCase()
    if (verb === 'RCPT') to.push(/<([^>]*)>/.exec(line)?.[1] ?? '')
    if (verb === 'DATA') body = []
    answer(verb === 'DATA' ? '354 go on' : verb === 'QUIT' ? '221 bye' : '250 ok')
  }
  answer('220 mail sink')
  socket.on('data', (chunk) => {
    const lines = (buffered + chunk.toString('latin1')).split('\r\n')
    buffered = lines.pop() ?? ''
    for (const line of lines) take(line)
  })
}

/** Enough of RFC 2045 for a token of ASCII letters: soft line breaks and escaped octets. */
function decodeQuotedPrintable(text: string): string {
  return text
    .replaceAll('=\r\n', '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}
