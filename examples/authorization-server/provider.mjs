// @ts-check
/** oidc-provider under the paths of the API. Tokens are for this origin, and for the resources that the options add. */
import { errors, Provider } from '../demo/oidc-provider.mjs'
import { errorPage } from './pages.mjs'

/** The only account: this server has no passwords, and takes everybody for its owner. */
export const ACCOUNT = 'alice'

/** oidc-provider's names for what is at which path. */
const ROUTES = {
  authorization: '/v2/oauth/authorize',
  introspection: '/v2/oauth/introspect',
  jwks: '/v2/oauth/jwks',
  registration: '/v2/oauth/register',
  revocation: '/v2/oauth/revoke',
  token: '/v2/oauth/token'
}
const HOUR = 3600
const DAY = 24 * HOUR

/**
 * @typedef {object} ProviderOptions
 * @property {string} issuer
 * @property {import('./database.mjs').AuthorizationDatabase} database
 * @property {import('oidc-provider').AdapterFactory} adapter
 * @property {readonly import('./keys.mjs').SigningKey[]} keys the first one signs
 * @property {string[]} cookieKeys
 * @property {Buffer} nonceSecret 32 bytes, of DPoP nonces
 * @property {{ client_id: string, client_secret: string }} introspector who may introspect: whoever has an API key is taken for it
 * @property {readonly string[]} resources APIs that tokens are for, besides the issuer's origin
 * @property {Readonly<Record<string, import('./scopes.mjs').ScopeWords>>} scopes
 * @property {'jwt' | 'opaque'} accessTokens of clients that did not say which they want
 */

/** @param {ProviderOptions} options */
export function createProvider({
  issuer,
  database,
  adapter,
  keys,
  cookieKeys,
  nonceSecret,
  introspector,
  resources,
  scopes,
  accessTokens
}) {
  const provider = new Provider(issuer, {
    adapter,
    routes: ROUTES,
    clients: [{ ...introspector, grant_types: [], redirect_uris: [], response_types: [] }],
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    // RFC 7591 §2 allows more members: of which kind a client's tokens are, and whether it may do without PKCE.
    extraClientMetadata: { properties: ['access_token_format', 'require_pkce'], validator: validateMember },
    cookies: { keys: cookieKeys },
    jwks: /** @type {any} */ ({ keys }),
    pkce: {
      required: (_ctx, client) => client.clientAuthMethod === 'none' || client.require_pkce !== false
    },
    scopes: Object.keys(scopes),
    responseTypes: ['code'],
    interactions: { url: (_ctx, { uid }) => `/consent/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    ttl: {
      AccessToken: HOUR,
      AuthorizationCode: 60,
      ClientCredentials: HOUR,
      Grant: 90 * DAY,
      Interaction: HOUR,
      RefreshToken: 30 * DAY,
      Session: DAY
    },
    clientBasedCORS: () => true,
    discovery: {
      introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'bearer']
    },
    renderError: (ctx, out) => {
      // A person looks at the authorization endpoint; programs look at the others.
      if (ctx.accepts('json', 'html') === 'html') {
        errorPage(ctx, ctx.status, `${out.error_description ?? 'The request is not valid.'} (${out.error})`)
        return
      }
      ctx.type = 'json'
      ctx.body = out
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true, nonceSecret, requireNonce: () => false },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === introspector.client_id },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => issuer,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, indicator, client) => {
          if (indicator !== issuer && !resources.includes(indicator)) throw new errors.InvalidTarget()
          return {
            audience: indicator,
            scope: Object.keys(scopes).join(' '),
            accessTokenFormat: /** @type {'jwt' | 'opaque'} */ (client.access_token_format ?? accessTokens),
            accessTokenTTL: HOUR,
            jwt: { sign: { alg: 'ES256', kid: keys[0]?.kid } }
          }
        }
      },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => client.clientId === token.clientId },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false }
    }
  })

  // oidc-provider keeps no JWT. What is kept here is that it was issued, and under which grant: see introspection.mjs.
  for (const event of /** @type {const} */ (['access_token.issued', 'client_credentials.issued'])) {
    provider.on(/** @type {any} */ (event), (/** @type {import('oidc-provider').AccessToken} */ token) => {
      database.save('IssuedJwt', token.jti, { grantId: token.grantId, clientId: token.clientId }, HOUR)
    })
  }
  provider.on('registration_create.success', (_ctx, client) => database.noteClient(client.clientId, false))
  provider.on('grant.success', (ctx) => {
    const grantId = ctx.oidc.entities.Grant?.jti
    if (grantId !== undefined) database.noteUse(grantId)
  })
  provider.on('server_error', (_ctx, error) => console.error('authorization server:', error))
  return provider
}

/** @typedef {ReturnType<typeof createProvider>} AuthorizationProvider */

/**
 * @param {unknown} _ctx
 * @param {string} name
 * @param {unknown} value
 */
function validateMember(_ctx, name, value) {
  if (value === undefined) return
  const valid = name === 'access_token_format' ? value === 'jwt' || value === 'opaque' : typeof value === 'boolean'
  if (!valid) throw new errors.InvalidClientMetadata(`${name} is invalid`)
}
