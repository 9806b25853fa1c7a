/**
 * A real authorization server for tests, the one of the demo: oidc-provider over HTTP on 127.0.0.1. Here are its types,
 * its clients, a browser for its login, and a protected Express app to send its tokens to.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import type { ClientMetadata, Configuration } from 'oidc-provider'
import { errorHandler, getAuth, protect, protectedResourceMetadata } from '../../adapters/express.js'
import {
  type IssuerOptions,
  type Requirement,
  type ResourceServer,
  type ResourceServerOptions,
  resourceServer
} from '../../src/index.js'

export type ProviderAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

export interface ProviderResource {
  readonly scopes: string[]
  readonly format?: 'jwt' | 'opaque'
  readonly algorithm?: ProviderAlgorithm
  /** Seconds. */
  readonly ttl?: number
}

export interface AuthorizationServer {
  readonly issuer: string
  readonly resources: Map<string, ProviderResource>
  keyIds(): string[]
  rotate(step: 'publish' | 'switch' | 'retire', algorithms?: readonly ProviderAlgorithm[]): Promise<void>
  /** As an administrator would. */
  revoke(token: string): Promise<void>
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export interface ClientCredentials {
  readonly client_id: string
  readonly client_secret: string
}

interface DemoServer {
  readonly SERVICE: ClientCredentials
  readonly API: ClientCredentials
  readonly startAuthorizationServer: (options?: {
    readonly signingAlgorithms?: readonly ProviderAlgorithm[]
    readonly resources?: Map<string, ProviderResource>
    readonly clients?: readonly ClientMetadata[]
    /** The last word on the provider's configuration. */
    readonly configure?: (configuration: Configuration) => Configuration
  }) => Promise<AuthorizationServer>
}

export interface OAuthClient {
  /** RFC 6749 §4.4, for one resource. */
  clientCredentials(resource: string, scope: string): Promise<string>
  /** RFC 6749 §4.1 with PKCE, through login and consent. */
  authorizationCode(resource: string, scope: string): Promise<{ accessToken: string; idToken: string }>
  /** RFC 7009, by the client itself. */
  revoke(token: string): Promise<void>
}

interface DemoClient {
  readonly createOAuthClient: (issuer: string, service: ClientCredentials) => Promise<OAuthClient>
}

const demo = (file: string): Promise<unknown> => import(new URL(`../../examples/demo/${file}`, import.meta.url).href)

export const { SERVICE, API, startAuthorizationServer } = (await demo('authorization-server.mjs')) as DemoServer
const { createOAuthClient: createClient } = (await demo('oauth-client.mjs')) as DemoClient

/** The clients of this authorization server: a service with credentials, and an app with a user. */
export function createOAuthClient({ issuer }: AuthorizationServer): Promise<OAuthClient> {
  return createClient(issuer, SERVICE)
}

export interface ProtectedApi {
  readonly api: ResourceServer
  readonly origin: string
  close(): Promise<void>
}

/** Options of the resource server, but its one issuer apart. */
export type ProtectedApiOptions = Partial<Omit<ResourceServerOptions, 'issuers'>> & {
  readonly issuer: IssuerOptions
  readonly requirements?: readonly Requirement[]
  /** Of the resource identifier, after the origin. Default: none. */
  readonly path?: string
}

/**
 * An Express app that answers who the caller is, on `/me`, and its metadata. Its identifier is its origin and `path`,
 * unless it is given.
 */
export async function startProtectedApi({
  issuer,
  requirements = [],
  path = '',
  ...options
}: ProtectedApiOptions): Promise<ProtectedApi> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const api = resourceServer({ resource: origin + path, issuers: [issuer], ...options })
  const app = express()
  app.use(protectedResourceMetadata(api))
  app.get('/me', protect(api, ...requirements), (req, res) => {
    const { issuer: from, subject, subjectType, clientId, audience, scopes } = getAuth(req)
    res.json({ issuer: from, subject, subjectType, clientId, audience, scopes })
  })
  app.use(errorHandler())
  server.on('request', app)
  return {
    api,
    origin,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await Promise.all([closed, api.close()])
    }
  }
}

/** What a client sees of an answer: status, challenge, body. */
export interface Seen {
  readonly status: number
  readonly challenge: string | null
  readonly body: unknown
}

/** `GET /me` with this token. */
export async function callMe(origin: string, token?: string): Promise<Seen> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const response = await fetch(`${origin}/me`, { headers })
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: text === '' ? null : JSON.parse(text)
  }
}

/** What a user's browser does: follows redirects with cookies, until it is sent back to the app. */
export async function browse(start: URL, redirectUri: string): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = start
  for (let steps = 0; steps < 12; steps++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
    const text = await response.text()
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    const location = response.headers.get('location')
    if (location === null) throw new Error(`${url.href} answered ${response.status}: ${text}`)
    url = new URL(location, url)
    if (url.href.startsWith(redirectUri)) return url
  }
  throw new Error('the login went in circles')
}

/** The authorization code flow with PKCE by hand, for a public client: the whole token response. */
export async function codeFlow(
  as: AuthorizationServer,
  app: { readonly clientId: string; readonly redirectUri: string },
  asked: Readonly<Record<string, string>>
): Promise<Record<string, unknown>> {
  const verifier = randomBytes(32).toString('base64url')
  const url = new URL(`${as.issuer}/auth`)
  url.search = new URLSearchParams({
    client_id: app.clientId,
    redirect_uri: app.redirectUri,
    response_type: 'code',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...asked
  }).toString()
  const code = (await browse(url, app.redirectUri)).searchParams.get('code') ?? ''
  const response = await fetch(`${as.issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: app.clientId,
      redirect_uri: app.redirectUri,
      code,
      code_verifier: verifier
    })
  })
  return (await response.json()) as Record<string, unknown>
}
