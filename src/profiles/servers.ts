/** Profiles of authorization servers that companies run themselves. See `index.ts` for what a profile is. */

import type { IssuerOptions } from '../issuer/settings.js'
import { type Names, ProfileProblems } from './problems.js'

const GUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/
const ORIGIN = /^[a-z]+:\/\/[^/?#]+$/

/** The two parameters that most servers need, checked. */
function issuerAndAudience(
  problems: ProfileProblems,
  options: { readonly issuer: string; readonly audience: Names },
  shape: RegExp,
  meaning: string
): { readonly issuer: string; readonly audience: readonly string[] } {
  const issuer = problems.address(options.issuer, 'issuer', shape, meaning)
  return { issuer, audience: problems.list(options.audience, 'audience') }
}

/**
 * FusionAuth, tenants whose access tokens are signed with RS256 or ES256 (the default key is a shared secret, HS256).
 *
 * ```
 * {"typ":"JWT","alg":"RS256","kid":"…"}
 * {"aud":"<application id>","exp":…,"iat":…,"iss":"acme.com","sub":"…","jti":"…","authenticationType":"PASSWORD",
 *  "applicationId":"<application id>","roles":["user"],"scope":"openid","auth_time":…,"tid":"<tenant id>","tty":"at"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; `iss` need not be a URL; the client is in `applicationId`; no `jti`. `aud` is the application,
 * so a token is good for *every* API that lists it.
 * Still refuses: ID tokens and all else whose `tty` is not `at`; other applications; and other tenants (`tid`), whose
 * keys are in the same key set and whose `iss` is the same unless somebody changed it.
 *
 * @param options.url             where FusionAuth is: `https://auth.example.com`
 * @param options.tenantId        the tenant's ID, a GUID
 * @param options.applicationIds  the applications that may call this API
 * @param options.issuer          the tenant's *Issuer*, as `iss` has it: `acme.com`. Default: `url`
 */
export function fusionAuth(options: {
  readonly url: string
  readonly tenantId: string
  readonly applicationIds: Names
  readonly issuer?: string
}): IssuerOptions {
  const problems = new ProfileProblems('fusionAuth', options, ['url', 'tenantId', 'applicationIds', 'issuer'])
  const url = problems.address(options.url, 'url', ORIGIN, 'https://auth.example.com, without a path')
  const { tenantId } = options
  problems.shape(tenantId, 'tenantId', GUID, 'a tenant ID, a GUID in lower case')
  const audience = problems.list(options.applicationIds, 'applicationIds')
  const accepted = options.issuer === undefined ? [] : problems.list(options.issuer, 'issuer')
  return problems.cleared({
    issuer: url,
    acceptedIssuers: accepted,
    jwksUri: `${url}/.well-known/jwks.json`,
    audience,
    tokenProfile: 'legacy',
    clientIdClaim: 'applicationId',
    requiredClaims: ['sub', 'iat'],
    requiredClaimValues: { tty: ['at'], tid: [tenantId] }
  })
}

/**
 * Zitadel, applications whose access tokens are JWTs (the default is opaque: add `introspection`).
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"iss":"https://acme.zitadel.cloud","sub":"…","aud":["<client id>","<project id>"],"exp":…,"iat":…,"nbf":…,
 *  "client_id":"<client id>","jti":"…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`. Zitadel writes no scopes into a JWT: check roles (`urn:zitadel:iam:org:project:roles`).
 * Still refuses: ID tokens, which have the same audiences and the same `client_id`, but no `jti`; tokens for other
 * projects; and other instances.
 *
 * Does NOT tell organizations of one instance apart: check `urn:zitadel:iam:user:resourceowner:id`.
 *
 * @param options.issuer    the instance: `https://acme.zitadel.cloud`
 * @param options.audience  the project's ID, which clients ask for by the scope `urn:zitadel:iam:org:project:id:<id>:aud`
 */
export function zitadel(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('zitadel', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, ORIGIN, 'https://acme.zitadel.cloud, without a path'),
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'client_id', 'iat', 'jti']
  })
}

/**
 * authentik, OAuth2 providers with an RSA or EC signing key (without one, tokens are signed with the client's secret).
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"iss":"https://authentik.example.com/application/o/orders/","sub":"…","aud":"<client id>","exp":…,"iat":…,"auth_time":…,
 *  "acr":"goauthentik.io/providers/oauth2/default","sid":"…","azp":"<client id>","uid":"…","scope":"openid orders:read"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; the client is in `azp`; no `jti`. `aud` is the client, so a token is good for *every* API that
 * lists it.
 * Still refuses: ID tokens, which have the same audience but neither `azp` nor `uid`; and tokens of other providers.
 *
 * @param options.issuer    the provider's issuer with its final slash: `https://authentik.example.com/application/o/orders/`
 * @param options.audience  the provider's client ID
 */
export function authentik(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('authentik', options, ['issuer', 'audience'])
  const meaning = 'the issuer with its final slash: https://authentik.example.com/application/o/orders/'
  return problems.cleared({
    ...issuerAndAudience(problems, options, /\/$/, meaning),
    tokenProfile: 'legacy',
    clientIdClaim: ['azp', 'client_id'],
    requiredClaims: ['sub', 'client_id', 'iat'],
    requiredClaimValues: { uid: true }
  })
}

/**
 * Ory Hydra and Ory Network, with `strategies.access_token: jwt` (the default is opaque: add `introspection`).
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"aud":["https://api.example.com"],"client_id":"…","exp":…,"ext":{},"iat":…,"iss":"https://hydra.example.com/","jti":"…",
 *  "nbf":…,"scp":["orders:read"],"sub":"…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; scopes are in the array `scp`.
 * Still refuses: ID tokens, which name no client; and tokens whose `aud` is empty, as it is until the client is allowed an
 * `audience` and asks for it.
 *
 * @param options.issuer    `urls.self.issuer`, with its final slash if it has one
 * @param options.audience  what clients ask for as `audience`
 */
export function hydra(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('hydra', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, /./, 'https://hydra.example.com/'),
    tokenProfile: 'legacy',
    scopeClaim: ['scp', 'scope'],
    requiredClaims: ['sub', 'client_id', 'iat', 'jti']
  })
}

/**
 * Spring Authorization Server, without an `OAuth2TokenCustomizer` of your own.
 *
 * ```
 * {"kid":"…","alg":"RS256"}
 * {"sub":"ada","aud":"web","nbf":…,"scope":["orders:read"],"iss":"https://auth.example.com","exp":…,"iat":…,"jti":"…"}
 * ```
 *
 * Relaxes: no `typ`; no claim for the client, and no `jti` (before 1.2). `aud` is the client, so a token is good for
 * *every* API that lists it.
 * Still refuses: ID tokens, which have the same audience but no `scope`; other clients; and access tokens without any
 * scope, which nothing tells from an ID token.
 *
 * @param options.issuer    `AuthorizationServerSettings.issuer`: `https://auth.example.com`
 * @param options.audience  the clients that may call this API; what a customizer writes into `aud`, if there is one
 */
export function springAuthorizationServer(options: {
  readonly issuer: string
  readonly audience: Names
}): IssuerOptions {
  const problems = new ProfileProblems('springAuthorizationServer', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, /./, 'https://auth.example.com'),
    tokenProfile: 'legacy',
    scopeClaim: 'scope',
    requiredClaims: ['sub', 'iat', 'scope']
  })
}

/**
 * PingAM (ForgeRock AM) and PingOne Advanced Identity Cloud, with client-side (stateless) tokens signed asymmetrically.
 *
 * ```
 * {"typ":"JWT","kid":"…","alg":"RS256"}
 * {"sub":"…","cts":"OAUTH2_STATELESS_GRANT","auditTrackingId":"…","iss":"https://am.example.com:443/am/oauth2/alpha",
 *  "tokenName":"access_token","token_type":"Bearer","authGrantId":"…","client_id":"web","aud":"web","nbf":…,
 *  "grant_type":"authorization_code","scope":["orders:read"],"auth_time":…,"realm":"/alpha","exp":…,"iat":…,"jti":"…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; there may be a `nonce`; no client in older versions. `aud` is the client, so a token is good for
 * *every* API that lists it.
 * Still refuses: ID and refresh tokens, signed by the same keys, by their `tokenName`; other realms and other clients.
 *
 * @param options.issuer    of the realm, as the metadata write it, mostly with its port: `https://am.example.com:443/am/oauth2/alpha`
 * @param options.audience  the clients that may call this API
 */
export function pingAm(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('pingAm', options, ['issuer', 'audience'])
  const meaning = 'the realm’s issuer: https://am.example.com:443/am/oauth2/alpha'
  return problems.cleared({
    ...issuerAndAudience(problems, options, /\/oauth2(\/[^?#]*[^/?#])?$/, meaning),
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'jti'],
    requiredClaimValues: { tokenName: ['access_token'] }
  })
}

/**
 * SAP XSUAA (Authorization and Trust Management), one entry for each tenant's subdomain.
 *
 * ```
 * {"alg":"RS256","jku":"https://acme.authentication.eu10.hana.ondemand.com/token_keys","kid":"…","typ":"JWT"}
 * {"jti":"…","sub":"…","scope":["orders!t1.Read","openid"],"client_id":"sb-orders!t1","cid":"sb-orders!t1","azp":"sb-orders!t1",
 *  "grant_type":"authorization_code","rev_sig":"…","iat":…,"exp":…,"zid":"…","aud":["orders!t1","openid"],
 *  "iss":"https://acme.authentication.eu10.hana.ondemand.com/oauth/token"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; the client is in `cid` or `azp`. Scopes keep their prefix: `orders!t1.Read`.
 * Still refuses: ID tokens (their `aud` is the client alone), refresh tokens (no `scope`), other applications, and other
 * subdomains. The header's `jku` is never followed.
 *
 * @param options.url        `url` of the service binding: `https://acme.authentication.eu10.hana.ondemand.com`
 * @param options.xsappname  `xsappname` of the service binding: `orders!t1`, not the client `sb-orders!t1`
 */
export function xsuaa(options: { readonly url: string; readonly xsappname: string }): IssuerOptions {
  const problems = new ProfileProblems('xsuaa', options, ['url', 'xsappname'])
  const url = problems.address(options.url, 'url', ORIGIN, 'https://acme.authentication.eu10.hana.ondemand.com')
  const { xsappname } = options
  problems.shape(
    xsappname,
    'xsappname',
    /^(?!sb-)./,
    'the xsappname, orders!t1: sb-… is the client, which ID tokens name'
  )
  return problems.cleared({
    issuer: `${url}/oauth/token`,
    jwksUri: `${url}/token_keys`,
    audience: [xsappname],
    tokenProfile: 'legacy',
    scopeClaim: 'scope',
    clientIdClaim: ['cid', 'azp', 'client_id'],
    requiredClaims: ['sub', 'client_id', 'iat', 'jti', 'scope']
  })
}

/**
 * WSO2 Identity Server, WSO2 API Manager and Asgardeo, with JWT access tokens.
 *
 * ```
 * {"x5t":"…","kid":"…","typ":"at+jwt","alg":"RS256"}
 * {"sub":"…","aut":"APPLICATION_USER","iss":"https://api.asgardeo.io/t/acme/oauth2/token","client_id":"…","aud":"<client id>",
 *  "nbf":…,"azp":"<client id>","org_id":"…","scope":"orders:read","exp":…,"iat":…,"jti":"…"}
 * ```
 *
 * Relaxes: the client may be in `azp` alone. `aud` is the client unless the application lists audiences, so a token is
 * good for *every* API that lists it.
 * Still refuses: ID tokens and the gateway's backend JWTs, which are not `at+jwt`; other clients; other tenants.
 *
 * @param options.issuer    of the tenant, it ends with `/oauth2/token`: `https://api.asgardeo.io/t/acme/oauth2/token`
 * @param options.audience  the clients that may call this API, or the audience that the application lists
 */
export function wso2(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('wso2', options, ['issuer', 'audience'])
  const meaning = 'the issuer in the tokens: https://api.asgardeo.io/t/acme/oauth2/token'
  const { issuer, audience } = issuerAndAudience(problems, options, /\/oauth2\/token$/, meaning)
  return problems.cleared({
    issuer,
    metadataUrl: `${issuer}/.well-known/openid-configuration`,
    audience,
    clientIdClaim: ['client_id', 'azp']
  })
}

/**
 * Curity Identity Server, JWT access tokens (the default is opaque: add `introspection`).
 *
 * ```
 * {"kid":"…","x5t":"…","alg":"RS256"}
 * {"jti":"…","delegationId":"…","exp":…,"nbf":…,"scope":"openid orders:read","sub":"…",
 *  "iss":"https://id.example.com/oauth/v2/oauth-anonymous","aud":"https://api.example.com","iat":…,"purpose":"access_token"}
 * ```
 *
 * Relaxes: no `typ`; no claim for the client, unless you add `client_id` to the token.
 * Still refuses: ID and refresh tokens, signed by the same keys, by their `purpose`; tokens for another API. A scope without
 * an audience of its own gets the client as `aud`: give the API's scopes one.
 *
 * @param options.issuer    of the token service profile: `https://id.example.com/oauth/v2/oauth-anonymous`
 * @param options.audience  the audience of the API's scopes
 */
export function curity(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('curity', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, /./, 'https://id.example.com/oauth/v2/oauth-anonymous'),
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'jti'],
    requiredClaimValues: { purpose: ['access_token'] }
  })
}
