/**
 * Against version 2 of the MCP TypeScript SDK: its server behind our Express adapter, its client in front of it, and
 * oidc-provider. The client knows nothing but the server's URL; with DPoP it binds what it gets, and proves it at each request.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  Client,
  DpopSession,
  type OAuthClientInformationMixed,
  type OAuthClientMetadata,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
  type OAuthTokens,
  StreamableHTTPClientTransport,
  UnauthorizedError
} from '@modelcontextprotocol/client'
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node'
import { McpServer } from '@modelcontextprotocol/server'
import express from 'express'
import { decodeJwt } from 'jose'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { enforce, errorHandler, getAuth, protect, protectedResourceMetadata } from '../../adapters/express.js'
import { authInfo, toolScopes } from '../../adapters/mcp.js'
import { type DpopOptions, resourceServer, scope } from '../../src/index.js'
import { type AuthorizationServer, browse, startAuthorizationServer } from '../support/authorization-server.js'

const REDIRECT_URI = 'http://127.0.0.1/callback'

let as: AuthorizationServer
const closing: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  as = await startAuthorizationServer({
    signingAlgorithms: ['ES256'],
    configure: (configuration) => ({ ...configuration, scopes: ['openid', 'mcp'], issueRefreshToken: () => false })
  })
})
afterAll(() => as.close())
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const checksOf = toolScopes({ whoami: [], write_note: ['mcp', 'notes:write'] })

/** @returns its URL */
async function startServer(dpop?: DpopOptions): Promise<string> {
  const http = createServer()
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`
  const api = resourceServer({
    resource: url,
    issuers: [as.issuer],
    ...(dpop && { requireSenderConstrained: 'dpop', dpop })
  })
  as.resources.set(url, { scopes: ['mcp', 'notes:write'], algorithm: 'ES256' })
  const app = express()
  app.use(protectedResourceMetadata(api))
  app.use('/mcp', protect(api, scope('mcp')), express.json())
  app.post('/mcp', async (req, res) => {
    await enforce(api, req, ...checksOf(req.body))
    const server = new McpServer({ name: 'notes', version: '1' })
    server.registerTool('whoami', {}, (context) => ({
      content: [{ type: 'text' as const, text: JSON.stringify(context.http?.authInfo) }]
    }))
    server.registerTool('write_note', {}, () => ({ content: [{ type: 'text' as const, text: 'written' }] }))
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: undefined as never,
      enableJsonResponse: true
    })
    res.once('close', () => void server.close())
    await server.connect(transport)
    await transport.handleRequest(Object.assign(req, { auth: authInfo(api, getAuth(req)) }) as never, res, req.body)
  })
  app.get('/mcp', (_req, res) => void res.status(405).set('Allow', 'POST').end())
  app.use(errorHandler())
  http.on('request', app)
  closing.push(async () => {
    const closed = once(http, 'close')
    http.close()
    http.closeAllConnections()
    await Promise.all([closed, api.close()])
  })
  return url
}

/** Keeps what the SDK gives it, and answers a redirect as a user's browser does: at once, with a code. */
class Browser implements OAuthClientProvider {
  readonly redirectUrl = REDIRECT_URI
  readonly clientMetadata: OAuthClientMetadata
  readonly authorizations: URL[] = []
  readonly dpop?: () => DpopSession
  back = new URLSearchParams()
  #information: OAuthClientInformationMixed | undefined
  #tokens: OAuthTokens | undefined
  #verifier = ''
  #discovered: OAuthDiscoveryState | undefined

  constructor(session?: DpopSession) {
    this.clientMetadata = {
      client_name: 'Note taker',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none'
    }
    if (session) this.dpop = () => session
  }
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
  saveDiscoveryState(discovered: OAuthDiscoveryState): void {
    this.#discovered = discovered
  }
  discoveryState(): OAuthDiscoveryState | undefined {
    return this.#discovered
  }
  async redirectToAuthorization(url: URL): Promise<void> {
    this.authorizations.push(url)
    this.back = (await browse(url, REDIRECT_URI)).searchParams
  }
}

interface Connected {
  readonly browser: Browser
  /** What came back from `/mcp`: status, and the scheme and error of the challenge. */
  readonly log: string[]
  /** The text that a tool answers; if its user is sent to sign in, once more after that. */
  readonly call: (name: string) => Promise<string>
}

async function connect(url: string, session?: DpopSession): Promise<Connected> {
  const browser = new Browser(session)
  const log: string[] = []
  const create = (): StreamableHTTPClientTransport =>
    new StreamableHTTPClientTransport(new URL(url), {
      authProvider: browser,
      fetch: async (input, init) => {
        const response = await fetch(input, init)
        const challenge = response.headers.get('www-authenticate') ?? ''
        const [, error = ''] = /error="(\w+)"/.exec(challenge) ?? []
        if (String(input) === url && init?.method === 'POST') log.push(`${response.status} ${error}`.trim())
        return response
      }
    })
  const client = new Client({ name: 'test', version: '1.0.0' })
  closing.push(() => client.close())
  let transport = create()
  await client.connect(transport).catch(async (error: unknown) => {
    if (!(error instanceof UnauthorizedError)) throw error
    await transport.finishAuth(browser.back)
    transport = create()
    await client.connect(transport)
  })
  const ask = async (name: string): Promise<string> => {
    const { content } = await client.callTool({ name, arguments: {} })
    return (content as readonly { text: string }[])[0]?.text ?? ''
  }
  const call = (name: string): Promise<string> =>
    ask(name).catch(async (error: unknown) => {
      if (!(error instanceof UnauthorizedError)) throw error
      await transport.finishAuth(browser.back)
      return ask(name)
    })
  return { browser, log, call }
}

test('MCP-01 MCP-02 MCP-06: a client gets from a bare URL to a token, and the tool sees its caller', async () => {
  const url = await startServer()
  const { browser, log, call } = await connect(url)
  const caller = JSON.parse(await call('whoami'))
  expect(log[0]).toBe('401')
  const [asked] = browser.authorizations as [URL]
  expect(Object.fromEntries(asked.searchParams)).toMatchObject({ scope: 'mcp', resource: url })
  const claims = decodeJwt(String(browser.tokens()?.access_token))
  expect(claims).toMatchObject({ aud: url, scope: 'mcp' })
  expect(caller).toMatchObject({
    clientId: (browser.clientInformation() as { client_id: string }).client_id,
    scopes: ['mcp'],
    extra: { subject: claims.sub, issuer: as.issuer }
  })
})

test('MCP-04 MCP-10: refuses a tool that needs another scope with 403, and the client asks its user for it', async () => {
  const { browser, log, call } = await connect(await startServer())
  log.length = 0
  expect(await call('write_note')).toBe('written')
  expect(log[0]).toBe('403 insufficient_scope')
  expect(log.at(-1)).toBe('200')
  expect(decodeJwt(String(browser.tokens()?.access_token)).scope).toBe('mcp notes:write')
  expect(await call('whoami')).toContain('notes:write')
  expect(browser.authorizations).toHaveLength(2)
})

test.each([
  ['without nonces', {}],
  ['with nonces', { nonces: 'required', nonceSecret: 'a secret of thirty-two characters' }]
] as const)(
  'DPoP, %s: binds the token to the client’s key, which the client proves at each request',
  async (title, dpop) => {
    const url = await startServer(dpop)
    const session = await DpopSession.create()
    const { browser, log, call } = await connect(url, session)
    expect(JSON.parse(await call('whoami'))).toMatchObject({ scopes: ['mcp'] })
    const token = String(browser.tokens()?.access_token)
    expect(decodeJwt(token)).toMatchObject({ cnf: { jkt: session.thumbprint } })
    expect(browser.tokens()?.token_type).toBe('DPoP')
    expect(log.includes('401 use_dpop_nonce')).toBe(title === 'with nonces')
    // In other hands it is of no use.
    const stolen = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: '{}' })
    expect(stolen.status).toBe(401)
    expect(stolen.headers.get('www-authenticate')).toMatch(/^DPoP /)
  }
)
