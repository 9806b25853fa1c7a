/**
 * The example authorization server as this package's counterpart, in every mode of verifying; what survives a restart;
 * and the consent page as a browser's HTTP sees it. The official SDK drives it in telnyx.test.ts, a browser in
 * playground.test.ts.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import * as oauth from 'oauth4webapi'
import { afterEach, describe, expect, test } from 'vitest'
import { type RunningServer, type ServerOptions, startServer } from '../../examples/authorization-server/server.mjs'
import {
  fresh,
  type IssuerOptions,
  type Requirement,
  type ResourceServer,
  ResourceServerError,
  resourceServer,
  scope
} from '../../src/index.js'
import { telnyx } from '../../src/profiles/index.js'

const CALLBACK = 'https://app.example/callback'
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

async function start(options: ServerOptions = {}): Promise<RunningServer> {
  const server = await startServer(options)
  closing.push(() => server.close())
  return server
}

interface App {
  readonly client_id: string
  readonly client_secret: string
}

function manage(server: RunningServer, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${server.base}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/json' }
  })
}

async function createApp(
  server: RunningServer,
  scopes: readonly string[] = ['messages:read', 'balance:read']
): Promise<App> {
  const response = await manage(server, '/oauth_clients', {
    method: 'POST',
    body: JSON.stringify({
      name: 'Reports & <b>more</b>',
      allowed_scopes: scopes,
      client_type: 'confidential',
      allowed_grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      redirect_uris: [CALLBACK],
      logo_uri: 'https://reports.example/logo.png',
      policy_uri: 'https://reports.example/policy'
    })
  })
  expect(response.status).toBe(201)
  return ((await response.json()) as { data: App }).data
}

async function getToken(
  server: RunningServer,
  { client_id, client_secret }: App,
  more: Readonly<Record<string, string>> = {}
): Promise<string> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id,
    client_secret,
    scope: 'messages:read',
    ...more
  })
  const response = await fetch(`${server.base}/oauth/token`, { method: 'POST', body })
  const { access_token } = (await response.json()) as { access_token: string }
  return access_token
}

interface Granted {
  readonly grant: string
  readonly token: string
}

/** What a person allows, whom an API key speaks for. */
async function getGrant(
  server: RunningServer,
  app: App,
  more: Readonly<Record<string, string>> = {}
): Promise<Granted> {
  const verifier = oauth.generateRandomCodeVerifier()
  const query = new URLSearchParams({
    client_id: app.client_id,
    redirect_uri: CALLBACK,
    response_type: 'code',
    scope: 'messages:read balance:read',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...more
  })
  const page = await (await manage(server, `/oauth/authorize?${query}`)).text()
  const [, consentToken] = /name="consent_token" value="([^"]+)"/.exec(page) ?? []
  const allowed = await manage(server, '/oauth/grants', {
    method: 'POST',
    body: JSON.stringify({ allowed: true, consent_token: consentToken })
  })
  const { redirect_uri } = (await allowed.json()) as { redirect_uri: string }
  const response = await fetch(`${server.base}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: app.client_id,
      client_secret: app.client_secret,
      code: new URL(redirect_uri).searchParams.get('code') ?? '',
      code_verifier: verifier,
      redirect_uri: CALLBACK
    })
  })
  const { access_token: token } = (await response.json()) as { access_token: string }
  const list = (await (await manage(server, '/oauth_grants')).json()) as { data: { id: string; client_id: string }[] }
  const grant = list.data.find((one) => one.client_id === app.client_id)?.id ?? ''
  return { grant, token }
}

/** An API of its own that this server's tokens are for. */
function createApi(server: RunningServer, issuer: Partial<IssuerOptions> = {}, now?: () => number): ResourceServer {
  const api = resourceServer({
    resource: server.origin,
    issuers: [{ ...telnyx({ apiKey: server.apiKey, base: server.base }), ...issuer }],
    ...(now && { now })
  })
  closing.push(() => api.close())
  return api
}

/** Whether a token is let in, or what it is answered. */
async function decide(api: ResourceServer, token: string, ...requirements: Requirement[]): Promise<object> {
  const request = {
    method: 'GET',
    url: '/v2/messages',
    fieldLines: (name: string) => (name === 'authorization' ? [`Bearer ${token}`] : [])
  }
  try {
    const access = await api.authorize(request as never, ...requirements)
    return { clientId: access?.clientId }
  } catch (error) {
    if (!(error instanceof ResourceServerError)) throw error
    return { status: error.status, reason: error.reason, retryAfter: error.headers['Retry-After'] }
  }
}

describe('our verifier', () => {
  test('verifies JWTs locally with the published keys, and asks no server about them', async () => {
    const server = await start()
    const app = await createApp(server)
    const api = createApi(server, { tokens: 'jwt' })
    expect(await decide(api, await getToken(server, app), scope('messages:read'))).toEqual({ clientId: app.client_id })
    expect(await decide(api, 'opaque')).toMatchObject({ status: 401 })
  })

  test('introspects opaque tokens with the API key', async () => {
    const server = await start({ accessTokens: 'opaque' })
    const app = await createApp(server)
    const token = await getToken(server, app)
    expect(token).not.toContain('.')
    const api = createApi(server)
    expect(await decide(api, token, scope('messages:read'))).toEqual({ clientId: app.client_id })
    expect(await decide(api, 'nobody-issued-this')).toMatchObject({ status: 401, reason: 'inactive' })
    const stranger = createApi(server, telnyx({ apiKey: 'KEY-of-nobody', base: server.base }))
    expect(await decide(stranger, token)).toMatchObject({ status: 500, reason: 'misconfigured' })
  })

  test('accepts both kinds of token, and introspects JWTs where they must be fresh', async () => {
    const server = await start()
    const app = await createApp(server)
    const token = await getToken(server, app)
    const api = createApi(server, { tokens: 'both' })
    expect(await decide(api, token)).toEqual({ clientId: app.client_id })
    expect(await decide(api, token, fresh())).toEqual({ clientId: app.client_id })
    expect(await decide(api, 'nobody-issued-this')).toMatchObject({ status: 401, reason: 'inactive' })
    await manage(server, `/oauth_clients/${app.client_id}`, { method: 'DELETE' })
    expect(await decide(api, token, fresh())).toMatchObject({ status: 401, reason: 'inactive' })
  })

  test.each([
    ['a grant', (_app: App, grant: string) => `/oauth_grants/${grant}`],
    ['a client', ({ client_id }: App) => `/oauth_clients/${client_id}`]
  ])(
    'after %s is deleted, refuses its token once the answer is too old, and at once where it must be fresh',
    async (_title, what) => {
      const server = await start({ accessTokens: 'opaque' })
      const app = await createApp(server)
      const { grant, token } = await getGrant(server, app)
      let clock = Date.now() / 1000
      const api = createApi(server, {}, () => clock)
      expect(await decide(api, token)).toEqual({ clientId: app.client_id })
      expect((await manage(server, what(app, grant), { method: 'DELETE' })).ok).toBe(true)
      expect(await decide(api, token)).toEqual({ clientId: app.client_id })
      const other = createApi(server, {}, () => clock)
      expect(await decide(other, token, fresh())).toMatchObject({ status: 401, reason: 'inactive' })
      clock += 31
      expect(await decide(api, token)).toMatchObject({ status: 401, reason: 'inactive' })
    }
  )

  test('treats too many introspections as an outage, for as long as Retry-After says', async () => {
    const server = await start({ accessTokens: 'opaque', rateLimit: { requests: 3, seconds: 120 } })
    const app = await createApp(server)
    const token = await getToken(server, app)
    const api = createApi(server)
    for (let i = 0; i < 3; i++) expect(await decide(api, `unknown-${i}`)).toMatchObject({ status: 401 })
    const refused = await decide(api, token)
    expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
    expect(Number((refused as { retryAfter: string }).retryAfter)).toBeGreaterThan(30)
  })

  test('accepts old and new tokens after an administrator rotated the keys, and refuses those of the key before', async () => {
    const server = await start()
    const app = await createApp(server)
    let clock = Date.now() / 1000
    const api = createApi(server, { tokens: 'jwt' }, () => clock)
    const tokens = [await getToken(server, app)]
    expect(await decide(api, tokens[0] as string)).toEqual({ clientId: app.client_id })
    for (let i = 0; i < 2; i++) {
      const rotated = await manage(server, '/admin/keys/rotate', { method: 'POST' })
      expect(await rotated.json()).toEqual({ data: { kid: expect.any(String) } })
      tokens.push(await getToken(server, app))
      // Longer than the window in which an unknown key is asked for once.
      clock += 31
      expect(await decide(api, tokens.at(-1) as string)).toEqual({ clientId: app.client_id })
    }
    expect(await decide(api, tokens[1] as string)).toEqual({ clientId: app.client_id })
    expect(await decide(api, tokens[0] as string)).toMatchObject({ status: 401, reason: 'unknown_key' })
    const reader = await fetch(`${server.base}/admin/keys/rotate`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.readOnlyKey}` }
    })
    expect(reader.status).toBe(403)
  })
})

describe('an API of yours', () => {
  const resource = 'http://localhost:3999'

  test('issues tokens for the API by client credentials and by consent, and grants its scopes', async () => {
    const server = await start({ resources: [resource], scopes: ['orders:read'] })
    const app = await createApp(server, ['orders:read'])
    const api = resourceServer({
      resource,
      issuers: [{ ...telnyx({ apiKey: server.apiKey, base: server.base }), tokens: 'jwt' }]
    })
    closing.push(() => api.close())
    const asked = { resource, scope: 'orders:read' }
    const accepted = { clientId: app.client_id }
    expect(await decide(api, await getToken(server, app, asked), scope('orders:read'))).toEqual(accepted)
    expect(await decide(api, (await getGrant(server, app, asked)).token, scope('orders:read'))).toEqual(accepted)
    expect(await decide(api, await getToken(server, app, { scope: 'orders:read' }))).toMatchObject({
      reason: 'audience'
    })
  })

  test('refuses a resource that was not configured with invalid_target', async () => {
    const server = await start({ resources: [resource] })
    const { client_id, client_secret } = await createApp(server)
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id,
      client_secret,
      resource: 'http://localhost:1'
    })
    const response = await fetch(`${server.base}/oauth/token`, { method: 'POST', body })
    expect(await response.json()).toMatchObject({ error: 'invalid_target' })
  })
})

describe('a restart', () => {
  async function folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'authorization-server-'))
    closing.push(() => rm(path, { recursive: true }))
    return path
  }

  test('keeps clients, grants, keys and the API key in one file', async () => {
    const database = join(await folder(), 'as.sqlite')
    const before = await startServer({ database })
    const app = await createApp(before)
    const { grant, token } = await getGrant(before, app)
    const keySet = await (await fetch(`${before.base}/oauth/jwks`)).json()
    await before.close()
    expect(existsSync(`${database}.lock`)).toBe(false)
    const after = await start({ database, port: Number(new URL(before.origin).port) })
    expect(after.apiKey).toBe(before.apiKey)
    // The connections of the one before may have to fail first.
    await expect.poll(() => fetch(`${after.base}/oauth/jwks`).then((one) => one.json(), String)).toEqual(keySet)
    const found = await manage(after, `/oauth_clients/${app.client_id}`)
    expect(await found.json()).toMatchObject({ data: { client_id: app.client_id, verified: true } })
    expect(await decide(createApi(after, { tokens: 'both' }), token, fresh())).toEqual({ clientId: app.client_id })
    expect(await getToken(after, app)).toMatch(/\./)
    const stands = await manage(after, `/oauth_grants/${grant}`)
    expect(await stands.json()).toMatchObject({ data: { id: grant, client_id: app.client_id } })
    await manage(after, `/oauth_grants/${grant}`, { method: 'DELETE' })
    expect(await decide(createApi(after, { tokens: 'both' }), token, fresh())).toMatchObject({ reason: 'inactive' })
  })

  test('opens a file that a killed process left locked, but not one that another process uses', async () => {
    const database = join(await folder(), 'as.sqlite')
    mkdirSync(`${database}.lock`)
    writeFileSync(`${database}.pid`, '999999999')
    await (await startServer({ database })).close()
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    closing.push(() => child.kill())
    await once(child, 'spawn')
    writeFileSync(`${database}.pid`, String(child.pid))
    await expect(startServer({ database })).rejects.toThrow(`is in use by process ${child.pid}`)
  })
})

describe('the consent page', () => {
  interface Visit {
    readonly page: Response
    readonly html: string
    readonly url: string
    readonly cookies: string
  }

  /** As far as a browser that keeps cookies gets without being asked anything. */
  async function visit(server: RunningServer, app: App, more: Record<string, string> = {}): Promise<Visit> {
    const verifier = oauth.generateRandomCodeVerifier()
    const query = new URLSearchParams({
      client_id: app.client_id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'messages:read',
      state: 'a state',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...more
    })
    const answer = await fetch(`${server.base}/oauth/authorize?${query}`, { redirect: 'manual' })
    expect(answer.status).toBe(303)
    const cookies = answer.headers.getSetCookie()
    for (const cookie of cookies)
      expect(cookie.toLowerCase()).toMatch(/; httponly.*; samesite=lax|samesite=lax.*httponly/)
    const url = new URL(answer.headers.get('location') ?? '', server.origin).href
    const page = await fetch(url)
    return { page, html: await page.text(), url, cookies: cookies.map((one) => one.split(';', 1)[0]).join('; ') }
  }

  function post(url: string, body: string, headers: Record<string, string>): Promise<Response> {
    return fetch(url, {
      method: 'POST',
      redirect: 'manual',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }
    })
  }

  test('the consent page says who asks for what, escapes the text, and allows no script, frame or cache', async () => {
    const server = await start()
    const { page, html } = await visit(server, await createApp(server))
    expect(page.status).toBe(200)
    expect(html).toContain('Reports &#38; &#60;b&#62;more&#60;/b&#62; asks for access to your account')
    expect(html).not.toContain('<b>')
    expect(html).toContain('Verified application')
    expect(html).toContain('Read messages')
    expect(html).not.toContain('See your balance')
    expect(html).toContain('href="https://reports.example/policy"')
    expect(html).toContain('app.example')
    expect(html).not.toContain('<script')
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toContain("form-action 'self' https://app.example")
    expect(policy).toContain('img-src https://reports.example;')
    expect(page.headers.get('x-frame-options')).toBe('DENY')
    expect(page.headers.get('cache-control')).toBe('no-store')
  })

  test('registers a client for client_credentials only with an API key: any page of any site can register one', async () => {
    const server = await start()
    const register = (key?: string): Promise<Response> =>
      fetch(`${server.base}/oauth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(key !== undefined && { authorization: `Bearer ${key}` }) },
        body: JSON.stringify({ grant_types: ['client_credentials'], response_types: [], redirect_uris: [] })
      })
    for (const key of [undefined, 'wrong', server.readOnlyKey]) {
      const response = await register(key)
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ error: 'invalid_client_metadata' })
    }
    expect((await register(server.apiKey)).status).toBe(201)
  })

  test('the consent page calls a client that registered itself not verified', async () => {
    const server = await start()
    const registered = await fetch(`${server.base}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      // What it says of itself is not what we say of it.
      body: JSON.stringify({ client_name: 'Stranger', redirect_uris: [CALLBACK], verified: true, org_id: 'org-1' })
    })
    const { html } = await visit(server, (await registered.json()) as App)
    expect(html).toContain('Not verified')
    expect(html).not.toContain('Verified application')
  })

  test('accepts the answer only from the browser that began, on this page', async () => {
    const server = await start()
    const app = await createApp(server)
    const { url, cookies } = await visit(server, app)
    const origin = { origin: server.origin }
    const allow = 'decision=allow'
    expect((await post(url, allow, { cookie: cookies, origin: 'https://evil.example' })).status).toBe(403)
    expect((await post(url, allow, { cookie: cookies })).status).toBe(403)
    expect((await post(url, allow, origin)).status).toBe(403)
    const other = await visit(server, app)
    expect((await post(url, allow, { ...origin, cookie: other.cookies })).status).toBe(403)
    expect((await post(url, 'decision=perhaps', { ...origin, cookie: cookies })).status).toBe(400)
    // Nor may somebody with an API key answer for a browser.
    const byKey = await manage(server, '/oauth/grants', {
      method: 'POST',
      body: JSON.stringify({ allowed: true, consent_token: url.split('/').at(-1) })
    })
    expect(byKey.status).toBe(404)
    const good = await post(url, allow, { ...origin, cookie: cookies })
    expect(good.status).toBe(303)
    const resumed = await fetch(good.headers.get('location') ?? '', {
      headers: { cookie: cookies },
      redirect: 'manual'
    })
    const back = new URL(resumed.headers.get('location') ?? '')
    expect(back.origin).toBe('https://app.example')
    expect(back.searchParams.get('code')).toMatch(/./)
    expect(back.searchParams.get('state')).toBe('a state')
    expect((await fetch(url)).status).toBe(404)
  })

  test.each([
    ['another redirect URI', { redirect_uri: 'https://evil.example/' }],
    ['no PKCE', { code_challenge: '', code_challenge_method: '' }],
    ['another resource', { resource: 'https://other.example' }],
    ['a scope that the client may not have', { scope: 'messages:write' }]
  ])('the consent page is not shown for a request with %s', async (_title, more) => {
    const server = await start()
    const app = await createApp(server)
    const query = new URLSearchParams({
      client_id: app.client_id,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'messages:read',
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      code_challenge_method: 'S256',
      ...more
    })
    const answer = await fetch(`${server.base}/oauth/authorize?${query}`, { redirect: 'manual' })
    const to = answer.headers.get('location')
    expect(to === null ? answer.status : new URL(to).searchParams.get('error')).not.toBeNull()
    expect(to ?? '').not.toContain('/consent/')
    expect(to ?? '').not.toContain('evil.example')
  })
})

describe('invalid requests', () => {
  test.each([
    ['no JSON', '{', 400],
    ['no object', '[]', 400],
    ['a body of a megabyte', `"${'x'.repeat(1024 * 1024)}"`, 413]
  ])('refuses a request with %s', async (_title, body, status) => {
    const server = await start()
    const response = await manage(server, '/oauth_clients', { method: 'POST', body })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ errors: [{ title: expect.any(String) }] })
  })

  test('refuses a repeated parameter, with an API key and without', async () => {
    const server = await start()
    const response = await fetch(`${server.base}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${server.apiKey}` },
      body: new URLSearchParams([
        ['token', 'a'],
        ['token', 'b']
      ])
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: 'invalid_request' })
  })
})

describe('the command', () => {
  const MAIN = fileURLToPath(new URL('../../examples/authorization-server/main.mjs', import.meta.url))

  test('the command prints what to open and to paste, keeps nothing with --memory, and ends with Ctrl-C', async () => {
    const apiKey = `KEY-${randomBytes(8).toString('hex')}`
    const child = spawn(process.execPath, [MAIN, '--memory', '--port', '0'], {
      env: { ...process.env, API_KEY: apiKey },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    closing.push(() => child.kill('SIGKILL'))
    const lines: string[] = []
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line)
      if (lines.length === 6) break
    }
    const [page = '', api = ''] = lines.map((line) => /https?:\S+/.exec(line)?.[0])
    expect(lines.join('\n')).toContain(`apiKey: '${apiKey}'`)
    expect(await (await fetch(page)).text()).toContain('<!doctype html>')
    expect((await fetch(`${api}/v2/messages`)).status).toBe(401)
    const ended = once(child, 'exit')
    child.kill('SIGINT')
    expect(await ended).toEqual([0, null])
  })

  test.each([
    [['--resource', 'orders'], '--resource "orders" is not an http(s) URL'],
    [['--scope', 'a b'], '--scope "a b" is not one scope']
  ])('the command answers %j with a sentence on standard error and exit code 2', async (args, message) => {
    const child = spawn(process.execPath, [MAIN, '--memory', '--port', '0', ...args], {
      stdio: ['ignore', 'ignore', 'pipe']
    })
    closing.push(() => child.kill('SIGKILL'))
    const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
  })
})
