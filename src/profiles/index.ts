/**
 * Vendor profiles: where well-known authorization servers differ from RFC 9068 and RFC 7662, as plain options for an
 * entry of `issuers`. Nothing but data: spread one and write over it what differs. None is ever chosen by a token or a
 * host name; without one, the RFCs hold. Each throws a TypeError that lists every problem of its parameters.
 *
 * Does NOT fetch anything, and does NOT make ID tokens, refresh tokens or other tenants' tokens acceptable: each says
 * what it still refuses. What only some customers of a vendor want is not a parameter, but an option to override.
 */
import { bearerToken, noClientAuth } from '../issuer/client-auth.js'
import type { IssuerOptions } from '../issuer/settings.js'
import type { Claims } from '../types.js'
import { type Names, ProfileProblems } from './problems.js'

export { fapi2, mcp } from './fapi2.js'
export { clerk, firebase, logto, salesforce, supabase, workosAuthKit } from './hosted.js'
export {
  authentik,
  curity,
  fusionAuth,
  hydra,
  pingAm,
  springAuthorizationServer,
  wso2,
  xsuaa,
  zitadel
} from './servers.js'
export { githubActions, kubernetes } from './workloads.js'

/**
 * Auth0, APIs with the default token profile "Auth0" (with "RFC 9068" no profile is needed, but for the issuer's slash).
 * ```
 * {"alg":"RS256","typ":"JWT","kid":"…"}
 * {"iss":"https://tenant.eu.auth0.com/","sub":"auth0|5f7c8ec7c33c6c004bbafe82","aud":["https://api.example.com",
 *  "https://tenant.eu.auth0.com/userinfo"],"iat":…,"exp":…,"azp":"my_client_id","scope":"openid read:orders"}
 * ```
 *
 * Relaxes: `typ` may be `JWT`; the client is in `azp`; no `jti`. The issuer ends with a slash.
 * Still refuses: ID tokens (their `aud` is the application; they name no client), tokens for another API, and the opaque
 * or encrypted ones that Auth0 issues where no audience was asked for.
 *
 * @param options.domain       the tenant's domain or its custom domain, without `https://`: `tenant.eu.auth0.com`; with its port where there is one
 * @param options.audience     the API's identifier in Auth0
 * @param options.permissions  read the scopes from `permissions` (RBAC) where there is one: all that the *user* may do,
 *   whatever scopes the client asked for. Default false
 * @param options.rolesClaim   the claim that an Action of yours writes the roles to, `https://example.com/roles`: Auth0 has none
 *   of its own. Default: no roles are read
 */
export function auth0(options: {
  readonly domain: string
  readonly audience: Names
  readonly permissions?: boolean
  readonly rolesClaim?: string
}): IssuerOptions {
  const problems = new ProfileProblems('auth0', options, ['domain', 'audience', 'permissions', 'rolesClaim'])
  const { domain } = options
  problems.shape(
    domain,
    'domain',
    /^[a-z\d][a-z\d.-]*[a-z\d](?::(?!443$)[1-9]\d{0,4})?$/,
    'a host in lower case, without https:// and slash: tenant.eu.auth0.com'
  )
  const audience = problems.list(options.audience, 'audience')
  const permissions = problems.optional<boolean>(options.permissions, 'permissions', 'boolean') ?? false
  const { rolesClaim } = options
  if (rolesClaim !== undefined) problems.names([rolesClaim], 'rolesClaim')
  return problems.cleared({
    issuer: `https://${domain}/`,
    audience,
    tokenProfile: 'legacy',
    scopeClaim: permissions ? ['permissions', 'scope'] : 'scope',
    ...(rolesClaim !== undefined && { rolesClaim }),
    clientIdClaim: ['azp', 'client_id'],
    requiredClaims: ['sub', 'client_id', 'iat']
  })
}

/**
 * Microsoft Entra ID, for an API of your own: one entry for each tenant, with that tenant's discovery and keys. There is
 * no template for all tenants: an `iss` that any customer of Microsoft can get is no trust.
 *
 * ```
 * {"typ":"JWT","alg":"RS256","kid":"…"}
 * {"aud":"6e74172b-…","iss":"https://login.microsoftonline.com/{tid}/v2.0","iat":…,"nbf":…,"exp":…,"azp":"…",
 *  "azpacr":"1","oid":"…","scp":"orders.read","sub":"…","tid":"{tid}","uti":"…","ver":"2.0"}
 * {"aud":"api://6e74172b-…","iss":"https://sts.windows.net/{tid}/",…,"appid":"…","appidacr":"1",…,"ver":"1.0"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; the issuer of version 1 tokens; scopes in `scp`; the client in `azp` or `appid`; no `jti`.
 * Still refuses: ID tokens (they name no client), tokens of other tenants and for other APIs, tokens for Microsoft Graph
 * (not meant to be verified by anybody else). App roles are in `roles`: the user's, or in an app-only token the
 * application's. They are not scopes: ask for them with `roles(…)`, since an app-only token without any is issued to every
 * app of the tenant, unless assignment is required.
 *
 * @param options.tenantIds  directory (tenant) IDs: GUIDs
 * @param options.audience   the API's application ID (version 2) or its Application ID URI, `api://…` (version 1)
 */
export function entra(options: { readonly tenantIds: Names; readonly audience: Names }): readonly IssuerOptions[] {
  const problems = new ProfileProblems('entra', options, ['tenantIds', 'audience'])
  const tenants = problems.list(options.tenantIds, 'tenantIds')
  for (const one of tenants) {
    if (/^(common|organizations|consumers)$/i.test(one))
      problems.add('tenantIds', `holds '${one}', which is every tenant`, 'list the tenants whose tokens you accept', {
        withoutValue: 'holds a name of every tenant',
        text: one
      })
    else problems.shape(one, 'tenantIds', GUID, 'a directory (tenant) ID, a GUID in lower case')
  }
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared(
    tenants.map(
      (tid): IssuerOptions => ({
        issuer: `https://login.microsoftonline.com/${tid}/v2.0`,
        acceptedIssuers: [`https://sts.windows.net/${tid}/`],
        metadataUrl: `https://login.microsoftonline.com/${tid}/v2.0/.well-known/openid-configuration`,
        audience,
        tokenProfile: 'legacy',
        scopeClaim: 'scp',
        rolesClaim: 'roles',
        clientIdClaim: ['azp', 'appid'],
        requiredClaims: ['sub', 'client_id', 'iat'],
        requiredClaimValues: { tid: [tid] }
      })
    )
  )
}

const GUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

/**
 * Keycloak, realms whose clients do not (all) have "Use "at+jwt" as access token header type"; those that do, work too.
 *
 * ```
 * {"alg":"RS256","typ":"JWT","kid":"…"}
 * {"exp":…,"iat":…,"jti":"…","iss":"https://sso.example.com/realms/acme","aud":["orders-api","account"],"sub":"…",
 *  "typ":"Bearer","azp":"web","sid":"…","acr":"1","realm_access":{"roles":["…"]},
 *  "resource_access":{"orders-api":{"roles":["…"]},"account":{"roles":["…"]}},"scope":"openid orders:read"}
 * ```
 *
 * Relaxes: the header's `typ` may be `JWT`; the client is in `azp`. Roles are those of the realm (`realm_access`) and, with
 * `clientId`, of that client (`resource_access`); those of other clients are not read.
 * Still refuses: all whose claim `typ` is not `Bearer` or `DPoP` (ID, refresh, offline and logout tokens, signed by the
 * same keys), and tokens whose `aud` does not name this API: add an audience mapper, the default is `account` or none.
 *
 * @param options.issuer    the realm: `https://sso.example.com/realms/acme`
 * @param options.audience  what the audience mapper adds
 * @param options.clientId  the client of this API in the realm, whose client roles count beside the realm's: a role of either
 *   kind is the same role then. Default: realm roles alone
 */
export function keycloak(options: {
  readonly issuer: string
  readonly audience: Names
  readonly clientId?: string
}): IssuerOptions {
  const problems = new ProfileProblems('keycloak', options, ['issuer', 'audience', 'clientId'])
  const { clientId } = options
  if (clientId !== undefined) problems.names([clientId], 'clientId')
  const issuer = problems.address(options.issuer, 'issuer', /\/realms\/[^/?#]+$/, 'https://sso.example.com/realms/acme')
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared({
    issuer,
    audience,
    tokenProfile: 'legacy',
    rolesClaim: {
      all: [['realm_access', 'roles'], ...(clientId === undefined ? [] : [['resource_access', clientId, 'roles']])]
    },
    clientIdClaim: ['azp', 'client_id'],
    requiredClaims: ['sub', 'client_id', 'iat', 'jti'],
    requiredClaimValues: { typ: ['Bearer', 'DPoP'] }
  })
}

/**
 * Amazon Cognito user pools.
 *
 * ```
 * {"kid":"…","alg":"RS256"}
 * {"sub":"…","iss":"https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example","client_id":"…","origin_jti":"…",
 *  "event_id":"…","token_use":"access","scope":"orders/read","auth_time":…,"exp":…,"iat":…,"jti":"…","username":"…",
 *  "cognito:groups":["…"]}
 * ```
 *
 * Relaxes: no `typ`; no `aud`: `client_id` stands for it, so that a token is good for *every* API that lists its app
 * client. Where your pool does write `aud` (resource binding), override `audienceClaim: 'aud'` and `audience`. Roles are the
 * user's groups, `cognito:groups`.
 * Still refuses: ID tokens (`token_use: "id"`), refresh tokens, tokens of other app clients and other pools.
 *
 * @param options.region      such as `eu-central-1`
 * @param options.userPoolId  such as `eu-central-1_Example`
 * @param options.clientIds   the app clients that may call this API
 */
export function cognito(options: {
  readonly region: string
  readonly userPoolId: string
  readonly clientIds: Names
}): IssuerOptions {
  const problems = new ProfileProblems('cognito', options, ['region', 'userPoolId', 'clientIds'])
  const { region, userPoolId } = options
  problems.shape(region, 'region', /^[a-z]{2}(-[a-z]+)+-\d$/, 'an AWS region: eu-central-1')
  problems.shape(userPoolId, 'userPoolId', /^[a-z\d-]+_[\dA-Za-z]+$/, 'a user pool ID: eu-central-1_Example')
  if (userPoolId && !String(userPoolId).startsWith(`${region}_`))
    problems.add('userPoolId', 'is in another region', 'it begins with its region: eu-central-1_Example')
  const audience = problems.list(options.clientIds, 'clientIds')
  const issuer = `https://cognito-idp.${region}.amazonaws.com/${userPoolId}`
  return problems.cleared({
    issuer,
    metadataUrl: `${issuer}/.well-known/openid-configuration`,
    audience,
    audienceClaim: 'client_id',
    tokenProfile: 'legacy',
    rolesClaim: 'cognito:groups',
    requiredClaims: ['sub', 'client_id', 'iat', 'jti'],
    requiredClaimValues: { token_use: ['access'] }
  })
}

/**
 * Okta, custom authorization servers. Not the org authorization server (an issuer without `/oauth2/…`): its access
 * tokens look like JWTs, but they are for Okta's own APIs, and Okta does not want anybody else to verify them.
 *
 * ```
 * {"kid":"…","alg":"RS256"}
 * {"ver":1,"jti":"AT.…","iss":"https://acme.okta.com/oauth2/default","aud":"api://default","iat":…,"exp":…,
 *  "cid":"0oa…","uid":"00u…","scp":["openid","orders.read"],"auth_time":…,"sub":"ada@example.com","groups":["…"]}
 * ```
 *
 * Relaxes: no `typ`; scopes in the array `scp`; the client in `cid`. Roles are in `groups`, where the authorization server has
 * a groups claim of that name.
 * Still refuses: ID tokens (`jti` `ID.…`, no `cid`), and tokens of other authorization servers of the same Okta org.
 *
 * @param options.issuer    the Issuer URI of the authorization server: `https://acme.okta.com/oauth2/default`
 * @param options.audience  its Audience: `api://default`
 */
export function okta(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('okta', options, ['issuer', 'audience'])
  const meaning =
    'a custom authorization server, https://acme.okta.com/oauth2/default: others’ tokens are for Okta alone'
  const issuer = problems.address(options.issuer, 'issuer', /^[^/]*\/\/[^/]*\/oauth2\/[^/?#]+$/, meaning)
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared({
    issuer,
    metadataUrl: `${issuer}/.well-known/oauth-authorization-server`,
    audience,
    tokenProfile: 'legacy',
    scopeClaim: 'scp',
    rolesClaim: 'groups',
    clientIdClaim: 'cid',
    requiredClaims: ['sub', 'client_id', 'iat', 'jti']
  })
}

/**
 * Google, access tokens of your own OAuth clients (`ya29.…`), which are opaque. Google has no RFC 7662: `tokeninfo` is
 * asked. Such a token is made for Google's APIs, which whoever gets it can call: prefer a server with tokens for yours.
 *
 * ```
 * 200 {"azp":"123-abc.apps.googleusercontent.com","aud":"123-abc.apps.googleusercontent.com","sub":"1112…",
 *  "scope":"openid https://www.googleapis.com/auth/userinfo.email","exp":"1750000300","expires_in":"300","access_type":"online"}
 * 400 {"error":"invalid_token","error_description":"Invalid Value"}
 * ```
 *
 * Relaxes: no `active`, no `iss`; a 400 means "not active"; seconds may be texts, in this answer and nowhere else.
 * Still refuses: tokens of other people's clients (by `aud`), ID tokens, and an answer that does not say when it ends.
 *
 * @param options.clientIds  your OAuth clients
 */
export function google(options: { readonly clientIds: Names }): IssuerOptions {
  const problems = new ProfileProblems('google', options, ['clientIds'])
  const audience = problems.list(options.clientIds, 'clientIds')
  return problems.cleared({
    issuer: 'https://accounts.google.com',
    audience,
    tokens: 'opaque',
    scopeClaim: 'scope',
    clientIdClaim: 'azp',
    introspection: {
      endpoint: 'https://oauth2.googleapis.com/tokeninfo',
      auth: noClientAuth(),
      tokenPrefix: 'ya29.',
      dialect: { form: (token) => ({ access_token: token }), read: readTokenInfo }
    }
  })
}

/** @throws {Error} an answer that tokeninfo does not give */
function readTokenInfo(status: number, body: unknown): Claims | undefined {
  if (status === 400) return undefined
  if (status !== 200 || typeof body !== 'object' || body === null) throw new Error(`tokeninfo answered ${status}`)
  const { exp, ...members } = body as Claims
  if (!/^\d{1,12}$/.test(String(exp))) throw new Error('tokeninfo did not say when the token expires')
  return { ...members, exp: Number(exp) }
}

/**
 * Telnyx. Every token is introspected; `tokens: 'both'` verifies those that are JWTs here instead.
 *
 * ```
 * 200 {"active":true,"aud":"https://api.example.com","client_id":"…","exp":…,"iat":…,"iss":"https://api.telnyx.com","scope":"admin"}
 * ```
 *
 * Relaxes: no `sub` and no `jti`: `access.subject` is undefined; the API key as a Bearer token authenticates us.
 * Still refuses: answers without `aud` or for another API. What Telnyx calls its issuer is not documented: if it is not
 * the origin of `base`, override `issuer`.
 *
 * @param options.apiKey    the API key of this API, or a function that is asked for it on each call
 * @param options.audience  default: the option `resource`
 * @param options.base      where the API is, for tests and local servers. Default `https://api.telnyx.com/v2`
 */
export function telnyx(options: {
  readonly apiKey: string | (() => string | Promise<string>)
  readonly audience?: Names
  readonly base?: string
}): IssuerOptions {
  const problems = new ProfileProblems('telnyx', options, ['apiKey', 'audience', 'base'])
  const { apiKey, audience, base: given = 'https://api.telnyx.com/v2' } = options
  if (typeof apiKey !== 'function' && !apiKey) problems.add('apiKey', 'is missing or empty', 'is a variable unset?')
  const base = problems.address(given, 'base', /^[^?#]*[^/?#]$/, 'https://api.telnyx.com/v2, without a final slash')
  const identifiers = audience === undefined ? undefined : problems.list(audience, 'audience')
  const { origin } = new URL(problems.cleared(base))
  return {
    issuer: origin,
    metadataUrl: `${origin}/.well-known/oauth-authorization-server`,
    ...(identifiers && { audience: identifiers }),
    tokens: 'opaque',
    requiredClaims: ['client_id', 'iat'],
    introspection: { endpoint: `${base}/oauth/introspect`, auth: bearerToken(apiKey) }
  }
}

/**
 * Duende IdentityServer.
 * ```
 * {"alg":"RS256","kid":"…","typ":"at+jwt"}
 * {"iss":"https://id.example.com","nbf":…,"iat":…,"exp":…,"aud":"orders","scope":["orders.read"],"client_id":"m2m","jti":"…"}
 * ```
 *
 * Relaxes: no `sub`, which client credentials do not have here: `access.subject` is undefined for them.
 * Still refuses: all that is not `at+jwt`, ID tokens among it; and tokens without `aud`: the API needs an `ApiResource`.
 *
 * @param options.issuer    the authority: `https://id.example.com`
 * @param options.audience  the name of the `ApiResource`
 */
export function duende(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('duende', options, ['issuer', 'audience'])
  const issuer = problems.address(options.issuer, 'issuer', /./, 'https://id.example.com')
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared({ issuer, audience, requiredClaims: ['client_id', 'iat', 'jti'] })
}
