import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { SMTPServer } from 'smtp-server'

export type CaughtMail = { readonly to: string[]; readonly raw: string }

/** A real SMTP server that keeps what it is given; it can be told to refuse. */
export type SmtpCatcher = {
  readonly url: string
  readonly mails: CaughtMail[]
  refuse: boolean
  stop(): Promise<void>
}

export async function startSmtpCatcher(): Promise<SmtpCatcher> {
  const mails: CaughtMail[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    logger: false,
    onData: (stream, session, done) => {
      const keep = async () => {
        const raw = await text(stream)
        if (catcher.refuse) return new Error('not now')
        mails.push({ to: session.envelope.rcptTo.map(({ address }) => address), raw })
        return null
      }
      const answer = async () => done(await keep())
      void answer()
    },
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const catcher: SmtpCatcher = {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    mails,
    refuse: false,
    stop: async () => await new Promise<void>((resolve) => server.close(resolve)),
  }
  return catcher
}
