/**
 * The development issuer on a socket: metadata (RFC 8414), keys, tokens, introspection (RFC 7662), revocation (RFC 7009),
 * and with oidc-provider the endpoints that need a browser. Scripts of every origin may call it (CORS).
 *
 * Not for production: it has no login, and anyone who can reach it can consent.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { createKey } from '../../../test-kit/keys.js'
import { DEVELOPMENT_MARKER } from '../../issuer/metadata.js'
import {
  type Answer,
  type Credentials,
  OAuthError,
  parameter,
  readBody,
  readCredentials,
  readForm,
  requireClient
} from './answers.js'
import { issueToken } from './client-credentials.js'
import { createReadProof, PROOF_ALGORITHMS } from './dpop.js'
import { frontPage, pageHeaders } from './pages.js'
import { type Browser, createBrowser, type OidcProviderModule, PROVIDER_PATHS } from './provider.js'
import { revokeToken } from './revocation.js'
import { hostInUrl, type IssuerSettings } from './settings.js'
import { createTokens, TOKEN_LIFETIME } from './tokens.js'
import { issueVariant } from './variants.js'

/** Milliseconds that a client may take to send a request. */
const REQUEST_TIMEOUT = 30_000

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'WWW-Authenticate, DPoP-Nonce'
}
const PREFLIGHT: Answer = {
  status: 204,
  headers: {
    'Access-Control-Allow-Methods': 'GET, POST',
    'Access-Control-Allow-Headers': 'Authorization, Content-Type, DPoP, MCP-Protocol-Version',
    'Access-Control-Max-Age': '600'
  }
}

export interface RunningIssuer {
  /** The issuer identifier: the origin of the socket. */
  readonly issuer: string
  /** The client for `client_credentials`. */
  readonly client: Credentials
  /** The credentials of the API, for introspection. */
  readonly api: Credentials
  close(): Promise<void>
}

type Route = (request: IncomingMessage, response: ServerResponse) => Answer | Promise<Answer | undefined>

/**
 * @param module   oidc-provider, if it is installed
 * @param failed   receives errors that are defects
 * @throws {NodeJS.ErrnoException} the host or port cannot be listened on
 */
export async function startIssuer(
  settings: IssuerSettings,
  module: OidcProviderModule | undefined,
  failed: (error: unknown) => void
): Promise<RunningIssuer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT, headersTimeout: REQUEST_TIMEOUT })
  server.listen(settings.port, settings.host.replace(/^\[|\]$/g, ''))
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const issuer = settings.issuer ?? new URL(`http://${hostInUrl(settings.host)}:${port}`).origin
  const secret = (): string => randomBytes(32).toString('base64url')
  const client = { clientId: 'client', clientSecret: secret() }
  const api = { clientId: 'api', clientSecret: secret() }
  const routes = await createRoutes({ issuer, settings, client, api, module, failed })
  server.on('request', (request, response) => {
    respond(routes, issuer, request, response).catch((error) => {
      failed(error)
      if (response.headersSent) response.destroy()
      else response.writeHead(500, { 'Content-Type': 'application/json' }).end('{"error":"server_error"}')
    })
  })
  return { issuer, client, api, close: () => close(server) }
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

interface Parts {
  readonly issuer: string
  readonly settings: IssuerSettings
  readonly client: Credentials
  readonly api: Credentials
  readonly module: OidcProviderModule | undefined
  readonly failed: (error: unknown) => void
}

/** The routes by method and path; `METHOD /path/` holds for all paths that begin so. */
async function createRoutes({
  issuer,
  settings,
  client,
  api,
  module,
  failed
}: Parts): Promise<ReadonlyMap<string, Route>> {
  const key = createKey('ES256', randomBytes(8).toString('hex'))
  const tokens = createTokens(issuer, key, settings.opaque)
  const readProof = createReadProof(issuer, '/token')
  const browser = module && (await createBrowser(module, { issuer, key, settings, tokens, failed }))
  const metadata: Answer = { status: 200, body: metadataOf(issuer, settings, browser !== undefined) }
  /** A route of the printed client. Requests of registered clients go to oidc-provider. */
  const ours =
    (answer: (request: IncomingMessage, form: URLSearchParams) => Answer | Promise<Answer>): Route =>
    async (request, response) => {
      const body = await readBody(request)
      const form = readForm(request, body)
      const clientId = readCredentials(request, form)?.clientId ?? parameter(form, 'client_id')
      if (browser === undefined || clientId === undefined || clientId === client.clientId) return answer(request, form)
      await browser.handle(withBody(request, body), response)
      return undefined
    }
  const claimsOf = async (asked: string) => tokens.introspect(asked) ?? (await browser?.introspect(asked))
  const introspect: Route = async (request) => {
    const form = readForm(request, await readBody(request))
    requireClient(readCredentials(request, form), api)
    const asked = parameter(form, 'token')
    if (asked === undefined) throw new OAuthError(400, 'invalid_request', 'token is missing.')
    const answer = (await claimsOf(asked)) ?? { active: false }
    return { status: 200, headers: { 'Cache-Control': 'no-store' }, body: answer }
  }
  const variant: Route = async (request) => {
    const form = readForm(request, await readBody(request))
    return issueVariant(form, claimsOf, tokens, TOKEN_LIFETIME)
  }
  return new Map<string, Route>([
    ['GET /', () => ({ status: 200, body: frontPage(issuer, settings.resources, browser !== undefined) })],
    ['GET /.well-known/oauth-authorization-server', () => metadata],
    ['GET /.well-known/openid-configuration', () => metadata],
    ['GET /jwks', () => ({ status: 200, body: { keys: [key.publicJwk] } })],
    ['POST /token', ours((request, form) => issueToken(request, form, { client, settings, tokens, readProof }))],
    [`POST ${PROVIDER_PATHS.revocation}`, ours((request, form) => revokeToken(request, form, client, tokens))],
    ['POST /introspect', introspect],
    ['POST /variant', variant],
    ...browserRoutes(browser)
  ])
}

function browserRoutes(browser: Browser | undefined): [string, Route][] {
  const { authorization, registration } = PROVIDER_PATHS
  const paths = [
    `GET ${authorization}`,
    `GET ${authorization}/`,
    `POST ${authorization}`,
    `POST ${registration}`,
    `GET ${registration}/`
  ]
  const handle: Route = async (request, response) => {
    if (browser === undefined)
      throw new OAuthError(
        404,
        'invalid_request',
        'This endpoint needs the package oidc-provider: npm i -D oidc-provider, and start the issuer again.'
      )
    await browser.handle(request, response)
    return undefined
  }
  const routes = paths.map((path): [string, Route] => [path, handle])
  if (browser === undefined) return routes
  return [
    ...routes,
    ['GET /consent/', (request, response) => browser.consent(request, response)],
    ['POST /consent/', (request, response) => browser.consent(request, response)]
  ]
}

function metadataOf(issuer: string, { scopes }: IssuerSettings, hasBrowser: boolean): object {
  const methods = ['client_secret_basic', 'client_secret_post']
  const base = {
    issuer,
    [DEVELOPMENT_MARKER]: true,
    jwks_uri: `${issuer}/jwks`,
    token_endpoint: `${issuer}/token`,
    introspection_endpoint: `${issuer}/introspect`,
    introspection_endpoint_auth_methods_supported: methods,
    revocation_endpoint: `${issuer}${PROVIDER_PATHS.revocation}`,
    revocation_endpoint_auth_methods_supported: hasBrowser ? ['none', ...methods] : methods,
    development_variant_endpoint: `${issuer}/variant`,
    scopes_supported: scopes,
    dpop_signing_alg_values_supported: PROOF_ALGORITHMS
  }
  if (!hasBrowser)
    return {
      ...base,
      grant_types_supported: ['client_credentials'],
      response_types_supported: [],
      token_endpoint_auth_methods_supported: methods
    }
  return {
    ...base,
    authorization_endpoint: `${issuer}${PROVIDER_PATHS.authorization}`,
    registration_endpoint: `${issuer}${PROVIDER_PATHS.registration}`,
    scopes_supported: ['openid', 'offline_access', ...scopes],
    grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', ...methods],
    authorization_response_iss_parameter_supported: true,
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256']
  }
}

async function respond(
  routes: ReadonlyMap<string, Route>,
  issuer: string,
  request: IncomingMessage,
  response: ServerResponse
): Promise<void> {
  for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value)
  let answer: Answer | undefined
  try {
    answer = await answerOf(routes, issuer, request, response)
  } catch (error) {
    if (request.socket.destroyed) return
    if (!(error instanceof OAuthError)) throw error
    answer = error.answer
  }
  if (answer === undefined) return
  const { status, headers, body } = answer
  const isPage = typeof body === 'string'
  response.writeHead(status, {
    ...(isPage ? pageHeaders() : body && { 'Content-Type': 'application/json' }),
    ...headers
  })
  response.end(isPage ? body : body && JSON.stringify(body))
}

async function answerOf(
  routes: ReadonlyMap<string, Route>,
  issuer: string,
  request: IncomingMessage,
  response: ServerResponse
): Promise<Answer | undefined> {
  const { method = '', url = '', headers } = request
  // oidc-provider builds URLs with Host, and a page of another site could have its name lead to this address.
  if (headers.host !== new URL(issuer).host)
    throw new OAuthError(421, 'invalid_request', `Call this issuer by its own URL: ${issuer}`)
  if (method === 'OPTIONS') return PREFLIGHT
  const path = url.replace(/[?#].*$/s, '')
  const name = `${method === 'HEAD' ? 'GET' : method} ${path}`
  const route = routes.get(name) ?? routes.get(name.replace(/(?<=\/\w+\/).*$/, ''))
  if (route === undefined)
    throw new OAuthError(404, 'invalid_request', `There is nothing at this method and path. See ${issuer}/`)
  return route(request, response)
}

/** The same request with its body unread, for oidc-provider. */
function withBody(
  { method, url, httpVersion, socket, rawHeaders, headers }: IncomingMessage,
  body: Buffer
): IncomingMessage {
  const request = {
    method,
    url,
    httpVersion,
    socket,
    rawHeaders,
    headers: { ...headers, 'content-length': String(body.length) }
  }
  return Object.assign(Readable.from([body]), request) as unknown as IncomingMessage
}
