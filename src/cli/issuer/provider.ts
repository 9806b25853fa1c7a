/**
 * Everything that needs a browser: registration (RFC 7591), authorization with PKCE (RFC 7636), consent and refresh tokens.
 * OAuth is oidc-provider's, an optional peer of this package. Only the consent page is ours.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Configuration, default as OidcProvider } from 'oidc-provider'
import type { JsonObject, TestKey } from '../../../test-kit/keys.js'
import { type Answer, readBody, readForm } from './answers.js'
import { findResource, unknownResource } from './client-credentials.js'
import { consentPage, errorPage } from './pages.js'
import type { IssuerSettings } from './settings.js'
import { TOKEN_LIFETIME, type Tokens } from './tokens.js'

/** The parts of oidc-provider that are used. */
export type OidcProviderModule = Pick<typeof import('oidc-provider'), 'Provider' | 'errors'>

/** Seconds that an authorization code is valid. */
const CODE_LIFETIME = 60
/** Seconds that a person has for consent. */
const CONSENT_LIFETIME = 3600
/** Seconds that a grant, a session and a refresh token last. */
const GRANT_LIFETIME = 24 * 3600

export const PROVIDER_PATHS = {
  authorization: '/authorize',
  registration: '/register',
  revocation: '/revoke'
} as const

export interface BrowserParts {
  readonly issuer: string
  readonly key: TestKey
  readonly settings: IssuerSettings
  readonly tokens: Tokens
  /** Receives errors that are defects. */
  readonly failed: (error: unknown) => void
}

export interface Browser {
  /** Answers a request at one of oidc-provider's paths. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>
  /** Shows the consent page, or takes its answer. */
  consent(request: IncomingMessage, response: ServerResponse): Promise<Answer>
  /** The introspection answer for an opaque token that oidc-provider issued; otherwise undefined. */
  introspect(token: string): Promise<JsonObject | undefined>
}

/**
 * Loads oidc-provider from where this package is installed, or else from the working directory, as for `npx`.
 *
 * @returns undefined if it is not installed
 */
export async function loadOidcProvider(directory: string): Promise<OidcProviderModule | undefined> {
  try {
    return await quietly(() => import('oidc-provider'))
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  try {
    const path = createRequire(join(directory, 'package.json')).resolve('oidc-provider')
    return await quietly(() => import(pathToFileURL(path).href) as Promise<OidcProviderModule>)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return /^(?:ERR_)?MODULE_NOT_FOUND$/.test(String((error as NodeJS.ErrnoException).code))
}

/** Leaves out what oidc-provider prints about its memory and about Node.js releases: neither is news in development. */
async function quietly<T>(work: () => T | Promise<T>): Promise<T> {
  const { warn, info } = console
  const silent =
    (print: (...values: unknown[]) => void) =>
    (...values: unknown[]): void => {
      if (!String(values[0]).includes('oidc-provider ')) print(...values)
    }
  Object.assign(console, { warn: silent(warn), info: silent(info) })
  try {
    return await work()
  } finally {
    Object.assign(console, { warn, info })
  }
}

export async function createBrowser(module: OidcProviderModule, parts: BrowserParts): Promise<Browser> {
  const { issuer, tokens, failed } = parts
  const provider = await quietly(() => new module.Provider(issuer, configurationOf(module, parts)))
  provider.on('server_error', (_ctx, error) => failed(error))
  // Introspection has to know JWTs too, which oidc-provider does not keep.
  provider.use(async (ctx, next) => {
    await next()
    const token = (ctx.body as { readonly access_token?: unknown } | undefined)?.access_token
    if (ctx.oidc?.route !== 'token' || typeof token !== 'string') return
    const [, payload, signature] = token.split('.')
    if (payload !== undefined && signature !== undefined)
      tokens.remember(token, JSON.parse(Buffer.from(payload, 'base64url').toString()) as JsonObject)
  })
  const handle = provider.callback()
  return {
    handle: async (request, response) => handle(request, response),
    consent: (request, response) => answerConsent(provider, parts, request, response),
    introspect: async (token) => {
      const found = await provider.AccessToken.find(token)
      if (found === undefined || found.isExpired) return undefined
      const { jti, iat, exp, aud, scope, clientId, jkt } = found as typeof found & { readonly jkt?: string }
      return {
        active: true,
        token_type: found.tokenType,
        iss: issuer,
        aud,
        sub: found.accountId,
        client_id: clientId,
        scope,
        iat,
        exp,
        jti,
        ...(jkt !== undefined && { cnf: { jkt } })
      }
    }
  }
}

function configurationOf(
  { errors }: OidcProviderModule,
  { key, settings: { resources, scopes, opaque } }: BrowserParts
): Configuration {
  const scope = scopes.join(' ')
  return {
    routes: { ...PROVIDER_PATHS, jwks: '/jwks', token: '/token', introspection: '/introspect' },
    jwks: { keys: [{ ...key.privateKey.export({ format: 'jwk' }), kid: key.kid, alg: key.alg, use: 'sig' }] } as never,
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    scopes: ['openid', 'offline_access', ...scopes],
    responseTypes: ['code'],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    pkce: { required: () => true },
    interactions: { url: (_ctx, { uid }) => `/consent/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    clientBasedCORS: () => true,
    renderError: (ctx, { error, error_description: description }) => {
      ctx.type = 'html'
      ctx.body = errorPage(description === undefined ? error : `${error}: ${description}`)
    },
    ttl: {
      AccessToken: TOKEN_LIFETIME,
      AuthorizationCode: CODE_LIFETIME,
      Interaction: CONSENT_LIFETIME,
      Grant: GRANT_LIFETIME,
      Session: GRANT_LIFETIME,
      RefreshToken: GRANT_LIFETIME,
      IdToken: TOKEN_LIFETIME
    },
    features: {
      // A page of any site can register a client here (CORS), so each token of such a client needs a person's consent.
      clientCredentials: { enabled: false },
      devInteractions: { enabled: false },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => false },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resources[0] as string,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, indicator) => {
          const audience = findResource(resources, indicator)
          if (audience === undefined) throw new errors.InvalidTarget(unknownResource(resources))
          return {
            audience,
            scope,
            accessTokenFormat: opaque ? 'opaque' : 'jwt',
            accessTokenTTL: TOKEN_LIFETIME,
            jwt: { sign: { alg: key.alg, kid: key.kid } }
          }
        }
      },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false }
    }
  }
}

async function answerConsent(
  provider: OidcProvider,
  parts: BrowserParts,
  request: IncomingMessage,
  response: ServerResponse
): Promise<Answer> {
  const { issuer, settings } = parts
  const uid = (request.url ?? '').replace(/^\/consent\/|[?#].*$/g, '')
  const interaction = await provider.interactionDetails(request, response).catch(() => undefined)
  if (interaction?.uid !== uid)
    return page(
      400,
      errorPage(
        'This browser did not begin the request, or it expired, or cookies are off. Go back to the application and start again.'
      )
    )
  const { params, grantId } = interaction
  const clientId = String(params['client_id'])
  const client = await provider.Client.find(clientId)
  // Both are absent or text by now. Several resources are a list.
  const { scope = '', resource = [] } = params as { readonly scope?: string; readonly resource?: string | string[] }
  const asked = scope.split(' ').filter(Boolean)
  const resources = [resource].flat()
  if (request.method !== 'POST') {
    const name = client?.clientName ?? clientId
    const redirectUri = String(params['redirect_uri'])
    const scopes = asked.filter((one) => settings.scopes.includes(one))
    return consentPage({ uid, user: settings.user, name, redirectUri, resources, scopes })
  }
  // The cookie is SameSite=Lax, so the form of another site comes without it. A form names its origin, too.
  if (request.headers.origin !== issuer) return page(403, errorPage('The answer came from another site.'))
  const decision = readForm(request, await readBody(request)).get('decision')
  const result =
    decision === 'allow'
      ? { login: { accountId: settings.user }, consent: { grantId: await saveGrant() } }
      : { error: 'access_denied', error_description: 'The request was denied.' }
  const location = await provider.interactionResult(request, response, result, { mergeWithLastSubmission: false })
  return { status: 303, headers: { Location: location, 'Cache-Control': 'no-store' } }

  async function saveGrant(): Promise<string> {
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId)
    const grant = known ?? new provider.Grant({ accountId: settings.user, clientId })
    grant.addOIDCScope(asked.join(' '))
    const granted = settings.scopes.filter((one) => asked.includes(one)).join(' ')
    for (const indicator of resources) grant.addResourceScope(indicator, granted)
    return grant.save()
  }
}

function page(status: number, body: string): Answer {
  return { status, headers: { 'Cache-Control': 'no-store' }, body }
}
