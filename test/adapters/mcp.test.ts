/**
 * Beside both versions of the MCP SDK, over real sockets: what tools are told, the scopes of each, and our verifier behind
 * the SDK's own middleware. The SDK's client walks the whole flow in test/counterparts/mcp.test.ts.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node'
import {
  discoverOAuthProtectedResourceMetadata,
  discoverOAuthServerInfo
} from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import type { AuthInfo as AuthInfo1 } from '@modelcontextprotocol/sdk/server/auth/types.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  type AuthInfo as AuthInfo2,
  McpServer as McpServer2,
  OAuthError,
  OAuthErrorCode
} from '@modelcontextprotocol/server'
import express, { type RequestHandler } from 'express'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { enforce, errorHandler, getAuth, protect, protectedResourceMetadata } from '../../adapters/express.js'
import { type AuthInfo, authInfo, tokenVerifier, toolScopes } from '../../adapters/mcp.js'
import { type Access, type Check, claims, type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { mcp } from '../../src/profiles/mcp.js'
import { createTestIssuer, fakeAccess, type TestIssuer } from '../../test-kit/issuer.js'
import { startIssuer } from '../support/issuer.js'

// Its declarations give `req.auth` a type for the whole program, and so do those of version 1, another one.
const { requireBearerAuth: requireBearerAuth2 } = await import('@modelcontextprotocol/express' as string)

const RESOURCE = 'https://mcp.example.com/mcp'

let as: TestIssuer
let api: ResourceServer
const closing: (() => unknown)[] = []
beforeEach(async () => {
  as = await createTestIssuer()
  const checks = [claims(({ sub }) => sub !== 'mallory')]
  api = resourceServer(as.options({ resource: RESOURCE, checks }))
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function listen(app: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const http = createServer(app)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  closing.push(() => {
    http.close()
    http.closeAllConnections()
  })
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`
}

const call = (name: string, id = 1): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} }
})

/** Of a JSON-RPC answer, what is looked at. */
interface Answered {
  readonly result: { readonly content: readonly [{ readonly text: string }] }
}

async function post(
  url: string,
  token: string | undefined,
  body: unknown
): Promise<{ status: number; challenge: string | null; body: Answered }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-06-18',
      ...(token !== undefined && { authorization: `Bearer ${token}` })
    },
    body: JSON.stringify(body)
  })
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: text === '' ? undefined : JSON.parse(text)
  }
}

test('the types are both SDKs’', () => {
  expectTypeOf<AuthInfo>().toExtend<AuthInfo1>()
  expectTypeOf<AuthInfo>().toExtend<AuthInfo2>()
})

describe('authInfo()', () => {
  test('is what the SDK wants, and may be changed', async () => {
    const access = await fakeAccess({ resource: RESOURCE, scopes: ['mcp'], claims: { tenant: 't1' } })
    const info = authInfo(api, access)
    expect(info).toEqual({
      token: access.token,
      clientId: 'client-1',
      scopes: ['mcp'],
      expiresAt: access.expiresAt,
      resource: new URL(RESOURCE),
      resourceMetadataUrl: 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp',
      extra: { subject: 'user-1', issuer: 'https://as.test', claims: access.claims }
    })
    info.scopes.push('more')
    expect(access.scopes).toEqual(['mcp'])
    expect(() => authInfo(api, { token: 'a', clientId: 'b', scopes: [] } as unknown as Access)).toThrow(
      '`protect` granted'
    )
  })

  test('of an opaque token that says little, and an API without metadata', async () => {
    const bare = resourceServer(as.options({ resource: RESOURCE, metadata: false }))
    const token = as.opaque({ client_id: undefined, exp: undefined })
    const request = {
      method: 'GET',
      url: '/',
      fieldLines: (name: string) => (name === 'authorization' ? [`Bearer ${token}`] : [])
    }
    const info = authInfo(bare, (await bare.authorize(request)) as Access)
    expect(info).toMatchObject({ clientId: '', scopes: [] })
    expect(info).not.toHaveProperty('expiresAt')
    expect(info).not.toHaveProperty('resourceMetadataUrl')
  })
})

describe('toolScopes()', () => {
  const checksOf = toolScopes({ whoami: [], write_note: ['mcp', 'notes:write'], drop: ['mcp', 'admin'] })
  const scopesOf = (message: unknown): unknown => checksOf(message).map(({ scopes }) => scopes)

  test.each([
    ['a call', call('write_note'), [['mcp', 'notes:write']]],
    ['a call that needs nothing more', call('whoami'), []],
    [
      'several calls: all that any of them needs',
      [call('write_note'), call('drop', 2)],
      [['mcp', 'notes:write', 'admin']]
    ],
    ['anything else', { jsonrpc: '2.0', id: 1, method: 'tools/list' }, []],
    ['no messages', [], []]
  ])('%s', (_title, message, scopes) => {
    expect(scopesOf(message)).toEqual(scopes)
  })

  test.each([
    ['nothing', undefined],
    ['a text', 'hello'],
    ['null', null],
    ['a call, and null', [call('whoami'), null]]
  ])('what nobody has read, and somebody may read later: %s', (_title, message) => {
    const [check] = checksOf(message)
    const decide = (method: string): unknown => check?.({} as never, { method } as never, {} as never)
    expect(() => decide('POST')).toThrow(expect.objectContaining({ status: 403, reason: 'forbidden' }))
    // A stream is opened, and a session ended, without one.
    for (const method of ['GET', 'DELETE']) expect(decide(method)).toBeUndefined()
  })

  test.each([['unheard-of'], ['__proto__'], ['constructor'], ['toString']])('a tool that is not listed: %s', (name) => {
    const [check] = checksOf([call('whoami'), call(name)])
    expect(() => check?.({} as never, {} as never, {} as never)).toThrow(expect.objectContaining({ status: 403 }))
    const [unnamed] = checksOf({ method: 'tools/call', params: { name: 7 } })
    expect(() => unnamed?.({} as never, {} as never, {} as never)).toThrow(expect.objectContaining({ status: 403 }))
  })
})

describe('a server of the SDK behind protect()', () => {
  const checksOf = toolScopes({ whoami: [], write_note: ['mcp', 'notes:write'] })
  type Handle = (
    request: IncomingMessage & { auth: AuthInfo },
    response: ServerResponse,
    body: unknown
  ) => Promise<void>

  const handleWith1: Handle = async (request, response, body) => {
    const server = new McpServer({ name: 'notes', version: '1' })
    server.registerTool('whoami', {}, ({ authInfo: told }) => ({
      content: [{ type: 'text', text: JSON.stringify(told) }]
    }))
    server.registerTool('write_note', {}, () => ({ content: [{ type: 'text', text: 'written' }] }))
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    response.once('close', () => void server.close())
    await server.connect(transport as never)
    await transport.handleRequest(request as never, response, body)
  }
  const handleWith2: Handle = async (request, response, body) => {
    const server = new McpServer2({ name: 'notes', version: '1' })
    server.registerTool('whoami', {}, (context) => ({
      content: [{ type: 'text' as const, text: JSON.stringify(context.http?.authInfo) }]
    }))
    server.registerTool('write_note', {}, () => ({ content: [{ type: 'text' as const, text: 'written' }] }))
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: undefined as never,
      enableJsonResponse: true
    })
    response.once('close', () => void server.close())
    await server.connect(transport)
    await transport.handleRequest(request, response, body)
  }

  function createApp(handle: Handle): express.Express {
    const app = express()
    app.use(protectedResourceMetadata(api))
    app.post('/mcp', protect(api, scope('mcp')), express.json(), async (req, res) => {
      await enforce(api, req, ...checksOf(req.body))
      await handle(Object.assign(req, { auth: authInfo(api, getAuth(req)) }) as never, res, req.body)
    })
    app.use(errorHandler())
    return app
  }

  test.each([
    ['version 1', handleWith1],
    ['version 2', handleWith2]
  ] as const)(
    'MCP-04 MCP-10: %s: tools are told who calls; a scope that lacks is a challenge for all of them',
    async (_title, handle) => {
      const url = await listen(createApp(handle))
      const token = as.token({ sub: 'alice', scope: 'mcp' })
      const told = await post(url, token, call('whoami'))
      expect(told.status).toBe(200)
      expect(JSON.parse(told.body.result.content[0].text)).toMatchObject({
        token,
        clientId: 'client-1',
        scopes: ['mcp'],
        resource: RESOURCE,
        extra: { subject: 'alice' }
      })
      const refused = await post(url, token, call('write_note'))
      expect(refused.status).toBe(403)
      expect(refused.challenge).toContain('error="insufficient_scope"')
      expect(refused.challenge).toContain('scope="mcp notes:write"')
      expect(refused.challenge).toContain(
        'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"'
      )
      expect((await post(url, token, call('unheard-of'))).status).toBe(403)
      const written = await post(url, as.token({ scope: 'mcp notes:write' }), call('write_note'))
      expect(written).toMatchObject({ status: 200, body: { result: { content: [{ text: 'written' }] } } })
      expect((await post(url, as.token(), call('whoami'))).status).toBe(403)
      expect((await post(url, undefined, call('whoami'))).status).toBe(401)
    }
  )
})

describe('mcp({ legacyClients: true })', () => {
  test('leads a client that knows nothing of RFC 9728 from the origin to the authorization server', async () => {
    const issuer = await startIssuer()
    Object.assign(issuer.metadata, {
      authorization_endpoint: `${issuer.issuer}/authorize`,
      token_endpoint: `${issuer.issuer}/token`,
      response_types_supported: ['code']
    })
    const older = resourceServer(mcp({ resource: RESOURCE, issuers: [issuer.issuer], legacyClients: true }))
    closing.push(
      () => older.close(),
      () => issuer.close()
    )
    const app = express()
    app.use(protectedResourceMetadata(older))
    app.use(protect(older))
    const url = await listen(app)
    const asked: string[] = []
    /** A client of the revision 2025-03-26 asks for no such document. */
    const before9728 = async (input: string | URL, init?: RequestInit): Promise<Response> => {
      const { pathname } = new URL(input)
      if (pathname.startsWith('/.well-known/oauth-protected-resource')) return new Response(null, { status: 404 })
      asked.push(pathname)
      return fetch(input, init)
    }
    const { authorizationServerMetadata, resourceMetadata } = await discoverOAuthServerInfo(url, {
      fetchFn: before9728
    })
    expect(asked).toEqual(['/.well-known/oauth-authorization-server'])
    expect(resourceMetadata).toBeUndefined()
    expect(authorizationServerMetadata).toMatchObject({
      issuer: issuer.issuer,
      token_endpoint: `${issuer.issuer}/token`
    })
  })

  test('leads a client that looks for metadata at the root only to the same document', async () => {
    const older = resourceServer(mcp({ ...as.options({ resource: RESOURCE }), legacyClients: true }))
    closing.push(() => older.close())
    const app = express()
    app.use(protectedResourceMetadata(older))
    const url = await listen(app)
    const atRootOnly = (input: string | URL, init?: RequestInit): Promise<Response> =>
      new URL(input).pathname.endsWith('/mcp')
        ? Promise.resolve(new Response(null, { status: 404 }))
        : fetch(input, init)
    const document = await discoverOAuthProtectedResourceMetadata(url, {}, atRootOnly)
    expect(document).toMatchObject({ resource: RESOURCE, authorization_servers: ['https://as.test'] })
  })

  test.each([
    ['metadata: false', { metadata: false }, '`legacyClients` is true with `metadata: false`'],
    ['issuers as a function', { issuers: () => undefined }, '`legacyClients` is true and `issuers` is a function'],
    [
      'an issuer that is the origin itself',
      { issuers: ['https://mcp.example.com'] },
      '`legacyClients` is true and the first issuer is this origin'
    ]
  ] as const)('does not start with %s', (_title, more, message) => {
    const options = { resource: RESOURCE, issuers: ['https://as.example.com'], legacyClients: true, ...more }
    expect(() => resourceServer(options as never)).toThrow(message)
  })
})

test('ends the stream of a client of the SDK when its token is revoked, as the documents show it', async () => {
  const server = new McpServer({ name: 'notes', version: '1' })
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => 'session-1' })
  await server.connect(transport as never)
  const streams: ServerResponse[] = []
  const app = express()
  app.use('/mcp', protect(api, scope('mcp')))
  app.get('/mcp', (req, res, next) => {
    streams.push(res)
    const { signal } = getAuth(req)
    const end = (): unknown => res.destroy()
    signal.addEventListener('abort', end, { once: true })
    res.on('close', () => signal.removeEventListener('abort', end))
    next()
  })
  app.all('/mcp', express.json(), (req, res) => transport.handleRequest(req, res, req.body))
  app.use(errorHandler())
  const url = await listen(app)
  const headers = { authorization: `Bearer ${as.token({ scope: 'mcp' })}` }
  const client = new Client({ name: 'client', version: '1' })
  const reconnectionOptions = {
    initialReconnectionDelay: 1,
    maxReconnectionDelay: 1,
    reconnectionDelayGrowFactor: 1,
    maxRetries: 1
  }
  await client.connect(
    new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, reconnectionOptions }) as never
  )
  closing.push(
    () => client.close(),
    () => server.close()
  )
  await expect.poll(() => streams[0]?.headersSent).toBe(true)
  expect(streams[0]?.destroyed).toBe(false)
  await api.revoke({ issuer: as.issuer, subject: 'user-1' })
  await expect.poll(() => streams.map(({ destroyed }) => destroyed)).toEqual([true])
  await expect(client.ping()).rejects.toThrow(/401|invalid_token|Unauthorized/)
  expect(streams).toHaveLength(1)
})

test('tokenVerifier(): checks of the server see a POST of /, whatever was asked for', async () => {
  const seen: unknown[] = []
  const look: Check = (_access, request) =>
    void seen.push([
      request.method,
      request.url,
      request.fieldLines('authorization').length,
      request.fieldLines('host')
    ])
  const own = resourceServer(as.options({ resource: RESOURCE, checks: [look] }))
  const app = express()
  const verifier = tokenVerifier(own, (message) => new InvalidTokenError(message)) as never
  app.use(requireBearerAuth({ verifier }), (_req, res) => void res.json({}))
  const url = await listen(app)
  const headers = { authorization: `Bearer ${as.token()}` }
  expect((await fetch(`${url}/admin?all`, { method: 'DELETE', headers })).status).toBe(200)
  expect(seen).toEqual([['POST', '/', 1, []]])
})

describe('tokenVerifier(), behind the SDK’s own middleware', () => {
  const one = (): RequestHandler =>
    requireBearerAuth({
      verifier: tokenVerifier(api, (message) => new InvalidTokenError(message)) as never,
      requiredScopes: ['mcp']
    })
  const two = (): RequestHandler =>
    requireBearerAuth2({
      verifier: tokenVerifier(api, (message) => new OAuthError(OAuthErrorCode.InvalidToken, message)),
      requiredScopes: ['mcp'],
      expectedResource: new URL(RESOURCE)
    }) as RequestHandler

  test.each([
    ['version 1', one],
    ['version 2', two]
  ] as const)('%s: good tokens, bad ones, and an outage, which is no 401', async (_title, middleware) => {
    const app = express()
    app.post('/mcp', middleware(), (req, res) => void res.json({ auth: (req as { auth?: AuthInfo }).auth }))
    const url = await listen(app)
    const good = await post(url, as.token({ sub: 'alice', scope: 'mcp' }), {})
    expect(good).toMatchObject({ status: 200, body: { auth: { clientId: 'client-1', extra: { subject: 'alice' } } } })
    const [, bound] = as.dpop({ url: RESOURCE, claims: { scope: 'mcp' } }).authorization.split(' ')
    for (const token of [
      as.expired({ scope: 'mcp' }),
      as.wrongAudience({ scope: 'mcp' }),
      as.tampered({ scope: 'mcp' }),
      bound,
      'a~b!'
    ]) {
      const { status, challenge } = await post(url, token, {})
      expect({ token, status }).toEqual({ token, status: 401 })
      expect(challenge).toContain('error="invalid_token"')
    }
    expect((await post(url, as.token(), {})).status).toBe(403)
    expect((await post(url, as.token({ sub: 'mallory', scope: 'mcp' }), {})).status).toBe(401)
    as.fail('introspection', 503)
    const outage = await post(url, as.opaque({ scope: 'mcp' }), {})
    expect(outage).toMatchObject({ status: 500, challenge: null })
  })
})
