/**
 * Against the MCP TypeScript SDK (version 1): an MCP server behind our Express adapter, the SDK's own client in front
 * of it, and oidc-provider with dynamic registration and resource indicators as the authorization server. The client
 * knows nothing but the server's URL.
 *
 * What the SDK's client does not do, as of 1.32, and what follows for a server:
 * - It asks for exactly the scopes of the challenge and forgets those it had. So the challenge for an operation must
 *   name all the scopes that the operation needs (SPEC of MCP, "scope challenge handling"), the endpoint's included.
 * - With a refresh token it refreshes where it should ask for more scopes, and gives up when that did not help.
 * - It registers itself with the scopes of the first challenge, so the authorization server must know those.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type OAuthClientProvider, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { AuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens
} from '@modelcontextprotocol/sdk/shared/auth.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import express from 'express'
import { decodeJwt } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { enforce, errorHandler, protect, protectedResourceMetadata } from '../../adapters/express.js'
import { type ResourceServer, resourceServer, scope } from '../../src/index.js'
import { type AuthorizationServer, browse, startAuthorizationServer } from '../support/authorization-server.js'

const REDIRECT_URI = 'http://127.0.0.1/callback'

let as: AuthorizationServer
let withRefreshTokens = false
let running: RunningServer
const clients: Client[] = []

beforeAll(async () => {
  as = await startAuthorizationServer({
    signingAlgorithms: ['ES256'],
    configure: (configuration) => ({
      ...configuration,
      scopes: ['openid', 'mcp'],
      issueRefreshToken: () => withRefreshTokens,
      ttl: { ...configuration.ttl, RefreshToken: 3600 }
    })
  })
})
afterAll(() => as.close())
beforeEach(async () => {
  withRefreshTokens = false
  running = await startMcpServer()
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()))
  await running.close()
})

// ---- the server

interface RunningServer {
  readonly url: string
  readonly api: ResourceServer
  /** What the tools were told about their callers. */
  readonly callers: unknown[]
  close(): Promise<void>
}

/** The scopes of each tool: all that the operation needs, so that one challenge asks for everything. */
const TOOL_SCOPES: ReadonlyMap<unknown, readonly string[]> = new Map([['write_note', ['mcp', 'notes:write']]])

type AuthenticatedRequest = IncomingMessage & { auth?: AuthInfo }

async function startMcpServer(): Promise<RunningServer> {
  const http: Server = createServer()
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`
  const api = resourceServer({ resource: url, issuers: [as.issuer] })
  const callers: unknown[] = []
  as.resources.set(url, { scopes: ['mcp', 'notes:write'], algorithm: 'ES256' })

  const createMcp = (): McpServer => {
    const mcp = new McpServer({ name: 'notes', version: '1.0.0' })
    mcp.registerTool('whoami', { description: 'Names the caller' }, ({ authInfo }) => {
      const { token, clientId, scopes, expiresAt } = authInfo as AuthInfo
      callers.push({ token, clientId, scopes, expiresAt })
      return { content: [{ type: 'text', text: 'you' }] }
    })
    mcp.registerTool('write_note', { description: 'Writes a note' }, () => ({
      content: [{ type: 'text', text: 'written' }]
    }))
    return mcp
  }

  const app = express()
  app.use(protectedResourceMetadata(api))
  app.use('/mcp', protect(api, scope('mcp')), express.json())
  app.post('/mcp', async (req, res) => {
    const needed = req.body?.method === 'tools/call' ? TOOL_SCOPES.get(req.body.params?.name) : undefined
    if (needed) await enforce(api, req, scope(...needed))
    const mcp = createMcp()
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
    res.once('close', () => void mcp.close())
    await mcp.connect(transport as Transport)
    // `req.auth` has all that the SDK's AuthInfo has, so it reaches the tools as it is; only `clientId` is typed as
    // perhaps missing, which in an RFC 9068 token it never is.
    await transport.handleRequest(req as IncomingMessage as AuthenticatedRequest, res, req.body)
  })
  // No stream of server notifications here (405 says so to the client).
  app.get('/mcp', (_req, res) => void res.status(405).set('Allow', 'POST').end())
  app.use(errorHandler())
  http.on('request', app)
  return {
    url,
    api,
    callers,
    close: async () => {
      const closed = once(http, 'close')
      http.close()
      http.closeAllConnections()
      await Promise.all([closed, api.close()])
    }
  }
}

// ---- the client

/** Keeps what the SDK gives it, and answers a redirect as a user's browser does: at once, with a code. */
class Browser implements OAuthClientProvider {
  readonly redirectUrl = REDIRECT_URI
  readonly clientMetadata: OAuthClientMetadata = {
    client_name: 'Note taker',
    redirect_uris: [REDIRECT_URI],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none'
  }
  readonly authorizations: URL[] = []
  code = ''
  #information: OAuthClientInformationMixed | undefined
  #tokens: OAuthTokens | undefined
  #verifier = ''

  clientInformation(): OAuthClientInformationMixed | undefined {
    return this.#information
  }
  saveClientInformation(information: OAuthClientInformationMixed): void {
    this.#information = information
  }
  tokens(): OAuthTokens | undefined {
    return this.#tokens
  }
  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens
  }
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier
  }
  codeVerifier(): string {
    return this.#verifier
  }
  async redirectToAuthorization(url: URL): Promise<void> {
    this.authorizations.push(url)
    const back = await browse(url, REDIRECT_URI)
    this.code = back.searchParams.get('code') ?? `none: ${back.href}`
  }
}

interface McpClient {
  readonly client: Client
  readonly browser: Browser
  /** Every request the SDK made, as `POST /mcp 401`; but for the stream it tries to open, which is in no order. */
  readonly log: string[]
  /** Runs what may end in a redirect, and once more when the user is back. */
  readonly signedIn: <T>(attempt: () => Promise<T>) => Promise<T>
}

/** Connects the SDK's client, from nothing but the URL. */
async function connect(): Promise<McpClient> {
  const browser = new Browser()
  const log: string[] = []
  const create = (): StreamableHTTPClientTransport =>
    new StreamableHTTPClientTransport(new URL(running.url), {
      authProvider: browser,
      fetch: async (input, init) => {
        const response = await fetch(input, init)
        const line = `${init?.method ?? 'GET'} ${new URL(input).pathname} ${response.status}`
        if (!line.startsWith('GET /mcp ')) log.push(line)
        return response
      }
    })
  let transport = create()
  const client = new Client({ name: 'test', version: '1.0.0' })
  clients.push(client)
  await client.connect(transport as Transport).catch(async (error: unknown) => {
    if (!(error instanceof UnauthorizedError)) throw error
    await transport.finishAuth(browser.code)
    // A transport starts once: the next attempt needs another one.
    transport = create()
    await client.connect(transport as Transport)
  })
  const signedIn = async <T>(attempt: () => Promise<T>): Promise<T> => {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error
      await transport.finishAuth(browser.code)
      return attempt()
    }
  }
  return { client, browser, log, signedIn }
}

const text = (value: string): unknown => ({ content: [{ type: 'text', text: value }] })

// ---- the flow

describe('MCP: the SDK’s client against a server behind this package', () => {
  test('MCP-01 MCP-02 MCP-03 MCP-06: the client gets from a bare URL to a token and a tool call', async () => {
    const { client, browser, log } = await connect()
    expect(await client.callTool({ name: 'whoami' })).toMatchObject(text('you') as object)

    expect(log.slice(0, 6)).toEqual([
      'POST /mcp 401',
      'GET /.well-known/oauth-protected-resource/mcp 200',
      'GET /.well-known/oauth-authorization-server 200',
      'POST /reg 201',
      // The browser's part is not the SDK's; then it starts over, with the code.
      'GET /.well-known/oauth-protected-resource/mcp 200',
      'GET /.well-known/oauth-authorization-server 200'
    ])
    expect(log.slice(6)).toEqual(['POST /token 200', 'POST /mcp 200', 'POST /mcp 202', 'POST /mcp 200'])

    // It asked for the scope of the challenge and for the resource of the metadata (RFC 8707), with PKCE.
    const [asked] = browser.authorizations as [URL]
    expect(Object.fromEntries(asked.searchParams)).toMatchObject({
      scope: 'mcp',
      resource: running.url,
      code_challenge_method: 'S256'
    })
    const claims = decodeJwt(String(browser.tokens()?.access_token))
    expect(claims).toMatchObject({ aud: running.url, scope: 'mcp', sub: 'alice' })

    // And the tool was told who calls.
    const clientId = browser.clientInformation()?.client_id
    expect(running.callers).toEqual([
      { token: browser.tokens()?.access_token, clientId, scopes: ['mcp'], expiresAt: claims.exp }
    ])
  })

  test('MCP-04 MCP-10 SCP-06: refuses a tool that needs another scope with 403, and the client steps up', async () => {
    const { client, browser, log, signedIn } = await connect()
    log.length = 0
    const written = await signedIn(() => client.callTool({ name: 'write_note' }))
    expect(written).toMatchObject(text('written') as object)
    expect(log[0]).toBe('POST /mcp 403')
    expect(log.at(-1)).toBe('POST /mcp 200')

    const asked = browser.authorizations.map((url) => url.searchParams.get('scope'))
    expect(asked).toEqual(['mcp', 'mcp notes:write'])
    expect(decodeJwt(String(browser.tokens()?.access_token))).toMatchObject({ scope: 'mcp notes:write' })
    // With the new token everything goes, without asking again.
    expect(await client.callTool({ name: 'whoami' })).toMatchObject(text('you') as object)
    expect(await client.callTool({ name: 'write_note' })).toMatchObject(text('written') as object)
    expect(browser.authorizations).toHaveLength(2)
  })

  test('MCP-04 DEN-13: the 403 to a tool call has the whole challenge on the wire', async () => {
    const { browser } = await connect()
    const response = await fetch(running.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${browser.tokens()?.access_token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream'
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'write_note' } })
    })
    const metadata = running.url.replace('/mcp', '/.well-known/oauth-protected-resource/mcp')
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toBe(
      `Bearer error="insufficient_scope", error_description="The access token lacks a required scope", scope="mcp notes:write", resource_metadata="${metadata}"`
    )
    expect(await response.json()).toEqual({
      error: 'insufficient_scope',
      error_description: 'The access token lacks a required scope'
    })
  })

  test('MCP-07: a session does not authenticate: each request needs the token, and the client signs in again without one', async () => {
    const { client, browser, signedIn } = await connect()
    browser.saveTokens({ access_token: 'forgotten', token_type: 'Bearer' })
    expect(await signedIn(() => client.callTool({ name: 'whoami' }))).toMatchObject(text('you') as object)
    expect(browser.authorizations).toHaveLength(2)
  })

  test('MCP-06: refuses a token that the same user got for another MCP server', async () => {
    const { client, browser } = await connect()
    const stolen = browser.tokens() as OAuthTokens
    await client.close()
    await running.close()
    running = await startMcpServer()
    const response = await fetch(running.url, {
      method: 'POST',
      headers: { authorization: `Bearer ${stolen.access_token}`, 'content-type': 'application/json' },
      body: '{}'
    })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain('The access token audience is not accepted')
  })

  test('the SDK’s client with a refresh token refreshes instead of asking for the scope, and gives up', async () => {
    withRefreshTokens = true
    const { client, browser, log } = await connect()
    expect(browser.tokens()?.refresh_token).toBeDefined()
    log.length = 0
    const error: unknown = await client.callTool({ name: 'write_note' }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(StreamableHTTPError)
    expect(error).toMatchObject({ code: 403 })
    expect(log.filter((line) => line.startsWith('POST'))).toEqual(['POST /mcp 403', 'POST /token 200', 'POST /mcp 403'])
    // What it has is still good for what it was granted.
    expect(await client.callTool({ name: 'whoami' })).toMatchObject(text('you') as object)
  })
})
