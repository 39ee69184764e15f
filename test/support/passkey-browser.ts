import { existsSync } from 'node:fs'
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server'
import { chromium } from 'playwright-core'
import { startHttpServer } from './http-server.ts'

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** What the tests with a browser cannot do without and this machine lacks; null when all is there. */
export const missingForBrowser = (): string | null =>
  PROGRAMS.some((path) => existsSync(path)) ? null : 'chromium'

export type PasskeyBrowser = Awaited<ReturnType<typeof openPasskeyBrowser>>

/**
 * A real Chromium on a page of `http://localhost`, with a virtual authenticator that Chromium itself
 * implements. Its private keys can be taken out, so that a test can sign what no browser would.
 */
export async function openPasskeyBrowser() {
  const site = await startHttpServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    response.end('<!doctype html><title>officers</title>')
  })
  // WebAuthn knows no IP addresses.
  const origin = site.url.replace('127.0.0.1', 'localhost')
  const browser = await chromium.launch({
    executablePath: PROGRAMS.find((path) => existsSync(path)) ?? '',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  })
  const page = await browser.newPage()
  await page.goto(origin)
  const session = await page.context().newCDPSession(page)
  await session.send('WebAuthn.enable')
  let authenticatorId = ''

  async function useAuthenticator(options: { backedUp: boolean }): Promise<void> {
    if (authenticatorId !== '') {
      await session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId })
    }
    const added = await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
        defaultBackupEligibility: options.backedUp,
        defaultBackupState: options.backedUp,
      },
    })
    ;({ authenticatorId } = added)
  }

  /** As text: the page has a browser's names, and this project has not. */
  async function inPage<T>(act: 'create' | 'get', options: object): Promise<T> {
    const parse = act === 'create' ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON'
    const publicKey = `PublicKeyCredential.${parse}(${JSON.stringify(options)})`
    return await page.evaluate<T>(
      `navigator.credentials.${act}({ publicKey: ${publicKey} }).then((made) => made.toJSON())`,
    )
  }

  return {
    origin,
    useAuthenticator,
    async setUserVerified(isUserVerified: boolean): Promise<void> {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified })
    },
    async register(person: string, challenge: string): Promise<RegistrationResponseJSON> {
      return await inPage('create', {
        challenge,
        rp: { id: 'localhost', name: 'officers' },
        user: { id: Buffer.from(person).toString('base64url'), name: person, displayName: person },
        pubKeyCredParams: [{ type: 'public-key', alg: -7 }],
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        attestation: 'none',
      })
    },
    /** @param userVerification what the page asks for; an honest one requires it */
    async assert(
      id: string,
      challenge: string,
      userVerification: 'required' | 'discouraged' = 'required',
    ): Promise<AuthenticationResponseJSON> {
      return await inPage('get', {
        challenge,
        rpId: 'localhost',
        allowCredentials: [{ type: 'public-key', id }],
        userVerification,
      })
    },
    /** Another page, in the same browser with the same passkeys. */
    async visit(url: string): Promise<void> {
      await page.goto(url)
    },
    /** Presses the page's one button, and waits for the words that it then says. */
    async press(): Promise<void> {
      await page.click('button:visible')
    },
    async type(text: string): Promise<void> {
      await page.fill('input:visible', text)
    },
    /** What the page tells people, once it does. */
    async said(wanted: RegExp): Promise<string> {
      const told = page.locator('[role=status]').filter({ hasText: wanted })
      await told.waitFor({ timeout: 15_000 })
      return (await told.textContent()) ?? ''
    },
    async textOf(selector: string): Promise<string> {
      return (await page.textContent(selector)) ?? ''
    },
    address: (): string => page.url(),
    /** As PNG, to look at. */
    picture: async (): Promise<Buffer> => await page.screenshot(),
    /** PKCS#8, base64, of the newest passkey. */
    async privateKey(): Promise<string> {
      const { credentials } = await session.send('WebAuthn.getCredentials', { authenticatorId })
      return credentials.at(-1)!.privateKey
    },
    async close(): Promise<void> {
      await browser.close()
      await site.stop()
    },
  }
}
