import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ApprovalError } from '../../src/approval/error.ts'
import { createApp } from '../../src/http/app.ts'
import type { AppDeps } from '../../src/http/app.ts'
import { doorDeps, send } from './door-deps.ts'

const token = 'A'.repeat(43)
const made = { id: 'aWQ', clientDataJSON: 'e30', attestationObject: 'oA' }

async function ask(
  path: string,
  given: { method?: string; body?: unknown; type?: string; deps?: Partial<AppDeps> } = {},
) {
  const { method = 'POST', body, type = 'application/json', deps = {} } = given
  const text = body === undefined ? '' : JSON.stringify(body)
  const headers: [string, string][] = [
    ['host', 'h'],
    ['content-type', type],
  ]
  const { deps: whole, lines } = doorDeps(deps)
  const response = await send(createApp(whole), {
    method,
    target: `/console/passkey${path}`,
    headers,
    body: Buffer.from(text),
  })
  return { response, text: await response.text(), lines }
}

describe('the page of a link', () => {
  it('loads nothing, runs its own script alone, and stands in nobody’s frame', async () => {
    const { response, text } = await ask('', { method: 'GET' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const [, script = ''] = /<script>([^]*)<\/script>/.exec(text) ?? []
    const hash = createHash('sha256').update(script).digest('base64')
    const policy = response.headers.get('content-security-policy') ?? ''
    expect(policy).toContain(`script-src 'sha256-${hash}'`)
    expect(policy).toMatch(/^default-src 'none'; .*frame-ancestors 'none'$/)
    expect(text).not.toMatch(/https?:|src=|href=/)
    expect(response.headers.get('referrer-policy')).toBe('no-referrer')
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('is only read', async () => {
    const { response } = await ask('', { method: 'PUT' })
    expect(response.status).toBe(405)
  })
})

describe('its calls', () => {
  it('tell whoever has no open link how to get one, and log no token', async () => {
    for (const [path, body] of [
      ['/open', { token }],
      ['/answer', { token, ...made }],
    ] as const) {
      const { response, text, lines } = await ask(path, { body })
      expect(response.status).toBe(404)
      expect(JSON.parse(text)).toMatchObject({ detail: expect.stringContaining('another one') })
      expect(JSON.stringify(lines)).not.toContain(token)
    }
  })

  it.each([
    ['a short token', '/open', { token: 'AAAA' }],
    ['no token', '/open', {}],
    ['a field more', '/open', { token, more: 1 }],
    ['nothing that was made', '/answer', { token }],
    ['both kinds at once', '/answer', { token, ...made, signature: 'AA', authenticatorData: 'AA' }],
    ['bytes that are none', '/answer', { token, ...made, clientDataJSON: '{}' }],
    ['more than any passkey has', '/answer', { token, ...made, id: 'A'.repeat(1365) }],
  ])('refuse %s', async (_name, path, body) => {
    const { response, text } = await ask(path, { body })
    expect(response.status).toBe(400)
    expect(JSON.parse(text)).toMatchObject({ code: 'malformed' })
  })

  it('take JSON alone, which no form of another site sends', async () => {
    const { response } = await ask('/open', { body: { token }, type: 'text/plain' })
    expect(response.status).toBe(415)
  })

  it('say what is wrong with a passkey, and nothing of our own failures', async () => {
    const passkeys = (error: Error) => ({
      open: async () => null,
      answer: async () => {
        throw error
      },
    })
    const body = { token, ...made }
    const bad = new ApprovalError('bad-assertion', 'nobody was present')
    const refused = await ask('/answer', { body, deps: { passkeys: passkeys(bad) } })
    expect(refused.response.status).toBe(400)
    expect(JSON.parse(refused.text)).toMatchObject({ detail: 'nobody was present' })
    const own = await ask('/answer', { body, deps: { passkeys: passkeys(new Error('hunter2')) } })
    expect(own.response.status).toBe(500)
    expect(own.text).not.toContain('hunter2')
  })
})
