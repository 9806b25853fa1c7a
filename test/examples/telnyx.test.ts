/**
 * The example authorization server, driven by the official `telnyx` SDK: every operation of its OAuth API, with the
 * answers that the SDK's types promise.
 */
import { createHash, randomBytes } from 'node:crypto'
import Telnyx from 'telnyx'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningServer, startServer } from '../../examples/authorization-server/server.mjs'

const CALLBACK = 'https://app.example/callback'
const UUID = /^[\da-f]{8}-[\da-f]{4}-[1-8][\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

let server: RunningServer
let telnyx: Telnyx
/** Paths that the SDK asked for. */
const asked: string[] = []

beforeAll(async () => {
  server = await startServer()
  telnyx = connect()
})
afterAll(() => server.close())

function connect(options: ConstructorParameters<typeof Telnyx>[0] = {}): Telnyx {
  return new Telnyx({
    apiKey: server.apiKey,
    baseURL: server.base,
    fetch: (url, init) => {
      const { pathname, search } = new URL(url instanceof Request ? url.url : url)
      asked.push(`${init?.method?.toUpperCase()} ${pathname}${search}`)
      return fetch(url, init)
    },
    ...options
  })
}

interface App {
  readonly id: string
  readonly secret: string
}

async function createApp(more: Partial<Telnyx.OAuthClientCreateParams> = {}): Promise<App> {
  const { data } = await telnyx.oauthClients.create({
    name: 'Reports',
    allowed_scopes: ['messages:read', 'balance:read'],
    client_type: 'confidential',
    allowed_grant_types: ['authorization_code', 'refresh_token', 'client_credentials'] as never,
    redirect_uris: [CALLBACK],
    ...more
  })
  return { id: data?.client_id ?? '', secret: data?.client_secret ?? '' }
}

interface Asked {
  readonly token: string
  readonly verifier: string
  readonly page: string
}

/** An authorization request, up to the question. */
async function ask(app: App, scope = 'messages:read balance:read'): Promise<Asked> {
  const verifier = randomBytes(32).toString('base64url')
  const page = await telnyx.oauth.retrieveAuthorize({
    client_id: app.id,
    redirect_uri: CALLBACK,
    response_type: 'code',
    scope,
    state: 'a state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256'
  })
  const [, token = ''] = /name="consent_token" value="([^"]+)"/.exec(page) ?? []
  return { token, verifier, page }
}

async function getTokens(app: App, scope?: string): Promise<Telnyx.OAuthTokenResponse> {
  const { token, verifier } = await ask(app, scope)
  const { redirect_uri } = await telnyx.oauth.grants({ allowed: true, consent_token: token })
  return telnyx.oauth.token({
    grant_type: 'authorization_code',
    client_id: app.id,
    client_secret: app.secret,
    code: new URL(redirect_uri).searchParams.get('code') ?? '',
    code_verifier: verifier,
    redirect_uri: CALLBACK
  })
}

/** Of this client, the only grant there is. */
async function grantOf(app: App): Promise<NonNullable<Telnyx.OAuthGrantRetrieveResponse['data']>> {
  for await (const grant of telnyx.oauthGrants.list()) {
    if (grant.client_id === app.id) return grant
  }
  throw new Error('there is no grant')
}

/** What the API answers to a token. */
async function call(path: string, token: string): Promise<{ status: number; challenge: string | null }> {
  const response = await fetch(new URL(path, server.origin), { headers: { authorization: `Bearer ${token}` } })
  await response.arrayBuffer()
  return { status: response.status, challenge: response.headers.get('www-authenticate') }
}

describe('published documents', () => {
  test('publishes the authorization server metadata (RFC 8414) at the origin and under the base', async () => {
    const metadata = await telnyx.wellKnown.retrieveAuthorizationServerMetadata()
    expect(asked.at(-1)).toBe('GET /v2/.well-known/oauth-authorization-server')
    const { base, origin } = server
    expect(metadata).toMatchObject({
      issuer: origin,
      authorization_endpoint: `${base}/oauth/authorize`,
      token_endpoint: `${base}/oauth/token`,
      introspection_endpoint: `${base}/oauth/introspect`,
      jwks_uri: `${base}/oauth/jwks`,
      registration_endpoint: `${base}/oauth/register`,
      response_types_supported: ['code'],
      grant_types_supported: expect.arrayContaining(['authorization_code', 'client_credentials', 'refresh_token']),
      scopes_supported: ['messages:read', 'messages:write', 'balance:read', 'openid'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post']
    })
    const atOrigin = await fetch(`${origin}/.well-known/oauth-authorization-server`)
    expect(await atOrigin.json()).toEqual(metadata)
  })

  test('publishes the protected resource metadata (RFC 9728) of this package', async () => {
    const metadata = await telnyx.wellKnown.retrieveProtectedResourceMetadata()
    expect(metadata).toMatchObject({ resource: server.origin, authorization_servers: [server.origin] })
    expect(metadata).toEqual(server.api.metadata?.document())
  })

  test('publishes the key set without private members', async () => {
    const { keys } = await telnyx.oauth.retrieveJwks()
    expect(keys).toEqual([expect.objectContaining({ kty: 'EC', alg: 'ES256', use: 'sig', kid: expect.any(String) })])
    expect(JSON.stringify(keys)).not.toMatch(/"d":/)
  })
})

describe('clients', () => {
  test('the SDK creates, retrieves, updates and deletes a client', async () => {
    const { data: created } = await telnyx.oauthClients.create({
      name: 'Ledger',
      allowed_scopes: ['balance:read'],
      client_type: 'confidential',
      allowed_grant_types: ['client_credentials'] as never,
      require_pkce: true,
      logo_uri: 'https://ledger.example/logo.png',
      policy_uri: 'https://ledger.example/policy',
      tos_uri: 'https://ledger.example/terms'
    })
    expect(created).toEqual({
      record_type: 'oauth_client',
      client_id: expect.stringMatching(UUID),
      client_secret: expect.stringMatching(/^[\w-]{43}$/),
      name: 'Ledger',
      client_type: 'confidential',
      allowed_scopes: ['balance:read'],
      allowed_grant_types: ['client_credentials'],
      redirect_uris: [],
      require_pkce: true,
      logo_uri: 'https://ledger.example/logo.png',
      policy_uri: 'https://ledger.example/policy',
      tos_uri: 'https://ledger.example/terms',
      verified: true,
      org_id: 'org-example',
      user_id: 'user-alice',
      created_at: expect.stringMatching(TIME),
      updated_at: expect.stringMatching(TIME)
    })
    const id = created?.client_id ?? ''
    // The secret is told once.
    expect((await telnyx.oauthClients.retrieve(id)).data).toEqual({ ...created, client_secret: null })
    const { data: updated } = await telnyx.oauthClients.update(id, { name: 'Ledger 2', tos_uri: 'https://l.example/t' })
    expect(updated).toEqual({
      ...created,
      client_secret: null,
      name: 'Ledger 2',
      tos_uri: 'https://l.example/t',
      updated_at: expect.stringMatching(TIME)
    })
    await expect(
      telnyx.oauth.token({
        grant_type: 'client_credentials',
        client_id: id,
        client_secret: created?.client_secret ?? '',
        scope: 'balance:read'
      })
    ).resolves.toMatchObject({ token_type: 'Bearer', scope: 'balance:read' })
    await telnyx.oauthClients.delete(id)
    await expect(telnyx.oauthClients.retrieve(id)).rejects.toBeInstanceOf(Telnyx.NotFoundError)
  })

  test('a public client has no secret, and must use PKCE', async () => {
    const { data } = await telnyx.oauthClients.create({
      name: 'Phone',
      allowed_scopes: ['messages:read'],
      client_type: 'public',
      allowed_grant_types: ['authorization_code'] as never,
      redirect_uris: ['com.example.phone:/callback'],
      require_pkce: false
    })
    expect(data).toMatchObject({ client_secret: null, client_type: 'public', require_pkce: true })
  })

  test('a client of dynamic registration (RFC 7591) is not verified, and gets no more than it asks for', async () => {
    const registered = await telnyx.oauth.register({
      client_name: 'Stranger',
      redirect_uris: [CALLBACK],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      scope: 'messages:read',
      token_endpoint_auth_method: 'none',
      logo_uri: 'https://stranger.example/logo.png'
    })
    expect(registered).toMatchObject({
      client_id: expect.any(String),
      client_id_issued_at: expect.any(Number),
      client_name: 'Stranger',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK],
      response_types: ['code'],
      scope: 'messages:read',
      token_endpoint_auth_method: 'none'
    })
    expect(registered).not.toHaveProperty('client_secret')
    const { data } = await telnyx.oauthClients.retrieve(registered.client_id)
    expect(data).toMatchObject({ name: 'Stranger', verified: false, client_type: 'public' })
    // An empty body is read as JSON, and lacks what RFC 7591 §2 wants for the default grant.
    await expect(telnyx.oauth.register({})).rejects.toMatchObject({
      status: 400,
      error: { error: 'invalid_redirect_uri' }
    })
  })

  test('the SDK lists clients over three pages, and by every filter', async () => {
    const names = ['Page A', 'Page B', 'Page C', 'Page D', 'Page E']
    for (const name of names) await createApp({ name })
    asked.length = 0
    const found: (string | undefined)[] = []
    const query = { 'page[size]': 2, 'filter[name][contains]': 'page' } as never
    for await (const client of telnyx.oauthClients.list(query)) found.push(client.name)
    expect(found).toEqual(names)
    const pages = asked.map((one) => new URLSearchParams(one.slice(one.indexOf('?'))).get('page[number]') ?? '1')
    expect(pages).toEqual(['1', '2', '3'])
    expect(asked[0]).toContain('page%5Bsize%5D=2')

    const namesOf = async (filter: object): Promise<(string | undefined)[]> => {
      const list: (string | undefined)[] = []
      for await (const client of telnyx.oauthClients.list(filter)) list.push(client.name)
      return list
    }
    const { id } = await createApp({ name: 'Machine', allowed_grant_types: ['client_credentials'] as never })
    expect(await namesOf({ 'filter[client_id]': id })).toEqual(['Machine'])
    expect(await namesOf({ 'filter[client_type]': 'public' })).not.toContain('Machine')
    expect(await namesOf({ 'filter[allowed_grant_types][contains]': 'client_credentials' })).toContain('Machine')
    expect(await namesOf({ 'filter[allowed_grant_types][contains]': 'refresh_token' })).not.toContain('Machine')
    expect(await namesOf({ 'filter[verified]': false })).not.toContain('Machine')
    expect(await namesOf({ 'filter[name]': 'Machine' })).toEqual(['Machine'])
  })
})

test('revokes an opaque token (RFC 7009), and answers a JWT with 400 unsupported_token_type, as the README says', async () => {
  const revoke = async (format: 'jwt' | 'opaque'): Promise<unknown[]> => {
    const client = (await telnyx.oauth.register({
      grant_types: ['client_credentials'],
      response_types: [],
      scope: 'messages:read',
      token_endpoint_auth_method: 'client_secret_post',
      access_token_format: format
    } as never)) as { client_id: string; client_secret: string }
    const credentials = { client_id: client.client_id, client_secret: client.client_secret }
    const { access_token: token } = await telnyx.oauth.token({
      ...credentials,
      grant_type: 'client_credentials',
      scope: 'messages:read'
    })
    const answer = await fetch(`${server.base}/oauth/revoke`, {
      method: 'POST',
      body: new URLSearchParams({ ...credentials, token })
    })
    const text = await answer.text()
    return [answer.status, text && JSON.parse(text).error, (await telnyx.oauth.introspect({ token })).active]
  }
  expect(await revoke('opaque')).toEqual([200, '', false])
  expect(await revoke('jwt')).toEqual([400, 'unsupported_token_type', true])
})

describe('consent and grants', () => {
  test('the SDK authorizes, reads the question, allows, gets tokens and refreshes them', async () => {
    const app = await createApp({ policy_uri: 'https://reports.example/policy' })
    const { token, verifier, page } = await ask(app)
    expect(page).toMatch(/^<!doctype html>/)
    expect((await telnyx.oauth.retrieve(token)).data).toEqual({
      client_id: app.id,
      name: 'Reports',
      logo_uri: null,
      policy_uri: 'https://reports.example/policy',
      tos_uri: null,
      redirect_uri: CALLBACK,
      requested_scopes: [
        { id: 'messages:read', name: 'Read messages', description: expect.any(String) },
        { id: 'balance:read', name: 'See your balance', description: expect.any(String) }
      ],
      verified: true
    })
    const { redirect_uri } = await telnyx.oauth.grants({ allowed: true, consent_token: token })
    const back = new URL(redirect_uri)
    expect(`${back.origin}${back.pathname}`).toBe(CALLBACK)
    expect(back.searchParams.get('state')).toBe('a state')
    expect(back.searchParams.get('iss')).toBe(server.issuer)
    const credentials = { client_id: app.id, client_secret: app.secret }
    const exchange = {
      ...credentials,
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      redirect_uri: CALLBACK
    } as const
    const tokens = await telnyx.oauth.token({ ...exchange, code_verifier: verifier })
    expect(tokens).toMatchObject({
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'messages:read balance:read'
    })
    expect(await call('/v2/messages', tokens.access_token)).toMatchObject({ status: 200 })
    const refreshed = await telnyx.oauth.token({
      ...credentials,
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token ?? ''
    })
    expect(await call('/v2/messages', refreshed.access_token)).toMatchObject({ status: 200 })
    // Answered once: neither the consent token nor the code is good again.
    await expect(telnyx.oauth.grants({ allowed: true, consent_token: token })).rejects.toMatchObject({ status: 404 })
    await expect(telnyx.oauth.retrieve(token)).rejects.toMatchObject({ status: 404 })
    await expect(telnyx.oauth.token({ ...exchange, code_verifier: verifier })).rejects.toMatchObject({
      status: 400,
      error: { error: 'invalid_grant' }
    })
    // A code that comes twice was stolen once (RFC 6749 §4.1.2): all that it gave is taken back.
    expect(await call('/v2/balance', refreshed.access_token)).toMatchObject({ status: 401 })
  })

  test('tells the client that the user denied, and keeps no grant', async () => {
    const app = await createApp()
    const { token } = await ask(app)
    const { redirect_uri } = await telnyx.oauth.grants({ allowed: false, consent_token: token })
    expect(Object.fromEntries(new URL(redirect_uri).searchParams)).toMatchObject({
      error: 'access_denied',
      state: 'a state'
    })
    await expect(grantOf(app)).rejects.toThrow('there is no grant')
  })

  test('the SDK lists, retrieves and deletes grants: a deleted grant ends its tokens, and last_used_at moves', async () => {
    const app = await createApp()
    const tokens = await getTokens(app)
    const grant = await grantOf(app)
    expect(grant).toEqual({
      record_type: 'oauth_grant',
      id: expect.stringMatching(UUID),
      client_id: app.id,
      scopes: ['messages:read', 'balance:read'],
      created_at: expect.stringMatching(TIME),
      last_used_at: expect.stringMatching(TIME)
    })
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await telnyx.oauth.introspect({ token: tokens.access_token })).toMatchObject({ active: true })
    const { data: used } = await telnyx.oauthGrants.retrieve(grant.id ?? '')
    expect(Date.parse(used?.last_used_at ?? '')).toBeGreaterThan(Date.parse(grant.last_used_at ?? ''))
    const { data: revoked } = await telnyx.oauthGrants.delete(grant.id ?? '')
    expect(revoked).toEqual(used)
    expect(await telnyx.oauth.introspect({ token: tokens.access_token })).toEqual({ active: false })
    await expect(
      telnyx.oauth.token({
        grant_type: 'refresh_token',
        client_id: app.id,
        client_secret: app.secret,
        refresh_token: tokens.refresh_token ?? ''
      })
    ).rejects.toMatchObject({ status: 400, error: { error: 'invalid_grant' } })
    await expect(telnyx.oauthGrants.retrieve(grant.id ?? '')).rejects.toBeInstanceOf(Telnyx.NotFoundError)
    // At once where the route asks each time.
    expect(await call('/v2/balance', tokens.access_token)).toMatchObject({ status: 401 })
  })

  test('deletes the grants of a deleted client', async () => {
    const app = await createApp()
    const tokens = await getTokens(app)
    const grant = await grantOf(app)
    await telnyx.oauthClients.delete(app.id)
    await expect(telnyx.oauthGrants.retrieve(grant.id ?? '')).rejects.toMatchObject({ status: 404 })
    expect(await telnyx.oauth.introspect({ token: tokens.access_token })).toEqual({ active: false })
  })
})

describe('tokens and introspection', () => {
  test('introspection answers exactly the members that the SDK expects, for JWTs and for opaque tokens', async () => {
    const app = await createApp()
    const jwt = await getTokens(app)
    const active = {
      active: true,
      aud: server.origin,
      client_id: app.id,
      exp: expect.any(Number),
      iat: expect.any(Number),
      iss: server.issuer,
      scope: 'messages:read balance:read'
    }
    expect(await telnyx.oauth.introspect({ token: jwt.access_token })).toEqual(active)
    const altered = `${jwt.access_token.slice(0, -3)}AAA`
    expect(await telnyx.oauth.introspect({ token: altered })).toEqual({ active: false })
    expect(await telnyx.oauth.introspect({ token: 'nobody issued this' })).toEqual({ active: false })
    // A refresh token is no access token, whoever asks.
    expect(await telnyx.oauth.introspect({ token: jwt.refresh_token ?? '' })).toEqual({ active: false })
  })

  test('accepts JSON instead of a form at the token and introspection endpoints', async () => {
    const app = await createApp()
    const send = async (path: string, body: object): Promise<Record<string, unknown>> => {
      const response = await fetch(`${server.base}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
      return (await response.json()) as Record<string, unknown>
    }
    const token = await send('/oauth/token', {
      grant_type: 'client_credentials',
      client_id: app.id,
      client_secret: app.secret,
      scope: 'messages:read'
    })
    expect(token).toMatchObject({ token_type: 'Bearer', scope: 'messages:read' })
    expect(await send('/oauth/introspect', { token: token['access_token'] })).toMatchObject({ active: true })
  })
})

describe('refusals, as the SDK’s error classes', () => {
  const hasty = { maxRetries: 0 }

  test('answers 401 to an unknown API key', async () => {
    const stranger = connect({ apiKey: 'KEY-of-nobody', ...hasty })
    await expect(stranger.oauthClients.list()).rejects.toBeInstanceOf(Telnyx.AuthenticationError)
    await expect(stranger.oauthGrants.list()).rejects.toMatchObject({
      status: 401,
      error: { errors: [{ code: expect.any(String), title: expect.any(String), detail: expect.any(String) }] }
    })
    await expect(stranger.oauth.introspect({ token: 'any' })).rejects.toMatchObject({
      status: 401,
      error: { error: 'invalid_client' }
    })
    await expect(stranger.oauth.grants({ allowed: true, consent_token: 'any' })).rejects.toMatchObject({ status: 401 })
  })

  test('answers 403 to an API key that may only read', async () => {
    const reader = connect({ apiKey: server.readOnlyKey, ...hasty })
    await expect(reader.oauthClients.list()).resolves.toBeDefined()
    await expect(reader.oauthClients.delete('any')).rejects.toBeInstanceOf(Telnyx.PermissionDeniedError)
  })

  test('answers 404 to an unknown client, grant or consent token', async () => {
    await expect(telnyx.oauthClients.retrieve('none')).rejects.toBeInstanceOf(Telnyx.NotFoundError)
    await expect(telnyx.oauthGrants.delete('none')).rejects.toBeInstanceOf(Telnyx.NotFoundError)
    await expect(telnyx.oauth.retrieve('none')).rejects.toBeInstanceOf(Telnyx.NotFoundError)
  })

  test.each([
    ['nothing at all', {}, ['/name', '/allowed_scopes', '/client_type', '/allowed_grant_types']],
    ['an empty name', { name: '' }, ['/name']],
    ['scopes that are no array', { allowed_scopes: 'messages:read' }, ['/allowed_scopes']],
    ['another type of client', { client_type: 'secret' }, ['/client_type']],
    ['an address that is not https', { logo_uri: 'javascript:alert(1)' }, ['/logo_uri']],
    ['a scope that there is not', { allowed_scopes: ['everything'] }, ['/allowed_scopes']],
    ['a grant type that there is not', { allowed_grant_types: ['password'] }, ['/allowed_grant_types']],
    ['client_credentials for a public client', { client_type: 'public' }, ['/allowed_grant_types']],
    [
      'the example of the SDK’s documentation',
      { allowed_scopes: ['admin'], client_type: 'public' },
      ['/allowed_scopes', '/allowed_grant_types']
    ],
    ['a redirect URI with a fragment', { redirect_uris: ['https://app.example/#a'] }, ['/redirect_uris']],
    [
      'a code without a redirect URI',
      { allowed_grant_types: ['authorization_code'], redirect_uris: [] },
      ['/redirect_uris']
    ]
  ])('answers 422 to %s', async (_title, body, pointers) => {
    const good = {
      name: 'App',
      allowed_scopes: ['messages:read'],
      client_type: 'confidential',
      allowed_grant_types: ['client_credentials']
    }
    const refused = telnyx.oauthClients.create((Object.keys(body).length > 0 ? { ...good, ...body } : {}) as never)
    await expect(refused).rejects.toBeInstanceOf(Telnyx.UnprocessableEntityError)
    await expect(refused).rejects.toMatchObject({
      error: { errors: pointers.map((pointer) => expect.objectContaining({ source: { pointer } })) }
    })
  })

  test('answers 422 to an invalid page or filter', async () => {
    await expect(telnyx.oauthClients.list({ 'page[size]': 0 } as never)).rejects.toMatchObject({ status: 422 })
    await expect(telnyx.oauthClients.list({ 'filter[secret]': 'x' } as never)).rejects.toMatchObject({ status: 422 })
  })

  test('the SDK waits after a 429 for as long as Retry-After says, and asks again', async () => {
    const limited = await startServer({ rateLimit: { requests: 2, seconds: 1 } })
    try {
      const waits = new Telnyx({ apiKey: limited.apiKey, baseURL: limited.base, maxRetries: 5 })
      const gives = new Telnyx({ apiKey: limited.apiKey, baseURL: limited.base, maxRetries: 0 })
      for (let i = 0; i < 5; i++) await expect(waits.oauthGrants.list()).resolves.toBeDefined()
      const answers = await Promise.allSettled(Array.from({ length: 5 }, () => gives.oauthClients.list()))
      const refused = answers.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
      expect(refused.length).toBeGreaterThan(0)
      for (const error of refused) {
        expect(error).toBeInstanceOf(Telnyx.RateLimitError)
        expect(error.headers.get('retry-after')).toBe('1')
      }
    } finally {
      await limited.close()
    }
  })
})
