// @ts-check
/**
 * A real authorization server in this process: oidc-provider on 127.0.0.1, without a database. It has client
 * credentials, authorization code with PKCE, dynamic registration, resource indicators (RFC 8707) that choose between
 * JWT (RFC 9068) and opaque access tokens, DPoP (RFC 9449), logins of two levels (RFC 9470), introspection, revocation,
 * and metadata at both well-known places.
 *
 * Beyond that it can do what a demo and a test need: rotate its keys, revoke a token, stop and start again.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createMemoryAdapter } from './memory-adapter.mjs'
import { errors, Provider } from './oidc-provider.mjs'
import { createSigningKeys } from './signing-keys.mjs'

/** @typedef {import('./signing-keys.mjs').Algorithm} Algorithm */

/**
 * What the server knows of an API, under one resource indicator.
 * @typedef {object} Resource
 * @property {string[]} scopes
 * @property {'jwt' | 'opaque'} [format] of its access tokens; default: jwt
 * @property {Algorithm} [algorithm] that signs them; default: the server's first
 * @property {number} [ttl] seconds; default: an hour
 */

/** A secret with `+`, `/` and `=` in it, which `client_secret_basic` must form-encode (RFC 6749 §2.3.1). */
const secret = () => `${randomBytes(24).toString('base64')}+/=`

/** A machine that calls the APIs in its own name. */
export const SERVICE = { client_id: 'report-service', client_secret: secret() }
/** The APIs themselves, as the client that may introspect. */
export const API = { client_id: 'orders-api', client_secret: secret() }
/** The only account. There is no password: see `interact`. */
const ACCOUNT = 'alice'

/**
 * @param {object} [options]
 * @param {number} [options.port] default: any free one
 * @param {readonly Algorithm[]} [options.signingAlgorithms] one key each; the first one also signs ID tokens
 * @param {Map<string, Resource>} [options.resources] by resource indicator; read at every request, so that APIs can be
 *   added when their ports are known
 * @param {import('oidc-provider').ClientMetadata[]} [options.clients] besides {@link SERVICE} and {@link API}
 * @param {(configuration: import('oidc-provider').Configuration) => import('oidc-provider').Configuration} [options.configure]
 *   anything else: what it answers is what oidc-provider is configured with
 */
export async function startAuthorizationServer({
  port = 0,
  signingAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'],
  resources = new Map(),
  clients = [],
  configure = (configuration) => configuration
} = {}) {
  const keys = await createSigningKeys(signingAlgorithms)
  const adapter = createMemoryAdapter()
  const cookieKeys = [randomBytes(32)]
  let http = await listen(port)
  const issuer = `http://127.0.0.1:${portOf(http)}`

  // A provider's keys are fixed when it is made: another set of keys is another provider, with the same storage.
  const createProvider = () => {
    /** @type {import('oidc-provider').Configuration} */
    const configuration = {
      adapter,
      clients: [
        ...clients,
        { ...SERVICE, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
        { ...API, grant_types: [], redirect_uris: [], response_types: [] }
      ],
      // What access tokens say of the login (RFC 9470 §6): only a code knows of one.
      acrValues: ['urn:example:password', 'urn:example:otp'],
      extraTokenClaims: (ctx) => {
        const { AuthorizationCode: code } = ctx.oidc.entities
        return code && { acr: code.acr, auth_time: code.authTime }
      },
      clientDefaults: { id_token_signed_response_alg: signingAlgorithms[0] },
      cookies: { keys: cookieKeys },
      jwks: /** @type {any} */ ({ keys: keys.all() }),
      pkce: { required: () => true },
      scopes: ['openid'],
      interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
      findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
      ttl: {
        AccessToken: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 3600,
        ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 3600,
        Grant: 3600,
        IdToken: 3600,
        Interaction: 3600,
        Session: 3600
      },
      clientBasedCORS: () => false,
      renderError: (ctx, out) => {
        ctx.type = 'json'
        ctx.body = out
      },
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        dPoP: { enabled: true },
        introspection: {
          enabled: true,
          // Else any client could look into any other's tokens (RFC 7662 §4).
          allowedPolicy: (_ctx, client) => client.clientId === API.client_id
        },
        registration: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: (_ctx, _client, oneOf) => oneOf ?? [],
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx, indicator) => {
            const resource = resources.get(indicator)
            if (!resource) throw new errors.InvalidTarget()
            return {
              audience: indicator,
              scope: resource.scopes.join(' '),
              accessTokenFormat: resource.format ?? 'jwt',
              accessTokenTTL: resource.ttl ?? 3600,
              jwt: { sign: { alg: resource.algorithm ?? /** @type {Algorithm} */ (signingAlgorithms[0]) } }
            }
          }
        },
        revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId }
      }
    }
    const provider = new Provider(issuer, configure(configuration))
    provider.on('server_error', (_ctx, error) => console.error('authorization server:', error))
    return provider
  }
  let provider = createProvider()
  let handle = provider.callback()

  /** @type {import('node:http').RequestListener} */
  const listener = (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return void handle(request, response)
    interact(provider, request, response).catch((error) => {
      response.writeHead(error.statusCode ?? 500, { 'Content-Type': 'text/plain' }).end(`${error.message}\n`)
    })
  }
  http.on('request', listener)

  return {
    issuer,
    resources,
    /** The published key identifiers, the signing ones first. */
    keyIds: () => keys.all().map(({ kid }) => kid),
    /**
     * One step of a key rotation: `publish` a new key of each algorithm, `switch` to signing with it, `retire` the rest.
     * @param {import('./signing-keys.mjs').Step} step
     * @param {readonly Algorithm[]} [algorithms]
     */
    rotate: async (step, algorithms = signingAlgorithms) => {
      await keys.rotate(step, algorithms)
      provider = createProvider()
      handle = provider.callback()
    },
    /** Revokes an opaque access token, as an administrator would. @param {string} token */
    revoke: async (token) => {
      const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token))
      await found?.destroy()
    },
    /** An outage: nothing listens any more, and open connections end. Everything stored stays. */
    stop: () => close(http),
    /** The end of the outage, on the same port. */
    start: async () => {
      http = await listen(Number(new URL(issuer).port))
      http.on('request', listener)
    },
    close: () => close(http)
  }
}

/**
 * Login and consent, through the provider's own interaction API. A person would be shown a page for each and asked;
 * here both are answered at once, with yes, for the one account there is.
 * @param {import('oidc-provider').Provider} provider
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function interact(provider, request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response)
  if (prompt.name === 'login') {
    const asked = typeof params.acr_values === 'string' ? params.acr_values : ''
    const [acr = 'urn:example:password'] = asked.split(' ').filter(Boolean)
    await provider.interactionFinished(request, response, { login: { accountId: ACCOUNT, acr } })
    return
  }
  const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  const grant = existing ?? new provider.Grant({ accountId: session?.accountId, clientId: String(params.client_id) })
  const missing = /** @type {{ missingOIDCScope?: string[], missingResourceScopes?: Record<string, string[]> }} */ (
    prompt.details
  )
  if (missing.missingOIDCScope) grant.addOIDCScope(missing.missingOIDCScope.join(' '))
  for (const [resource, scopes] of Object.entries(missing.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '))
  }
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
}

/** @param {number} port */
async function listen(port) {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** @param {import('node:http').Server} server */
function portOf(server) {
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port
}

/** @param {import('node:http').Server} server */
async function close(server) {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
