import { createTransport } from 'nodemailer'
import type { Mail } from './notice.ts'
import { DeliveryError } from './webhook.ts'

const TIMEOUT_MS = 10_000

export type SendMail = (to: string, mail: Mail) => Promise<void>
export type Mailer = { readonly send: SendMail; readonly close: () => void }

/**
 * Mail by SMTP. `smtps:` and `smtp:` with STARTTLS where the server offers it; whether plain text may
 * leave the host is refused by configuration, not here.
 * @param url smtp://USER:PASSWORD@HOST:PORT
 */
export function createMailer(url: string, from: string): Mailer {
  const transport = createTransport({
    url,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    dnsTimeout: TIMEOUT_MS,
    // Text of ours only: nothing in it may make the library read a file or a URL.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send(to, { subject, text }) {
      try {
        await transport.sendMail({ from, to: { name: '', address: to }, subject, text })
      } catch (cause) {
        throw new DeliveryError('the mail server did not take the message', { cause })
      }
    },
    close: () => transport.close(),
  }
}
