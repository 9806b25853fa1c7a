/** Profiles of hosted services that sign users in and issue their tokens. See `index.ts` for what a profile is. */

import type { IssuerOptions } from '../issuer/settings.js'
import { type Names, ProfileProblems } from './problems.js'

/** An origin, without path and final slash. */
const ORIGIN = /^[a-z]+:\/\/[^/?#]+$/
const HOST = /^[a-z\d][a-z\d.-]*[a-z\d]$/

/**
 * Supabase Auth, projects with asymmetric signing keys. Tokens of projects with the old shared secret (HS256) are refused.
 *
 * ```
 * {"alg":"ES256","typ":"JWT","kid":"…"}
 * {"iss":"https://abcdefgh.supabase.co/auth/v1","sub":"…","aud":"authenticated","exp":…,"iat":…,"role":"authenticated",
 *  "aal":"aal1","amr":[{"method":"password","timestamp":…}],"session_id":"…","is_anonymous":false,"email":"…","phone":""}
 * ```
 *
 * Relaxes: `typ` is `JWT`; no client, no scopes, no `jti`. `aud` is `authenticated` in every project, so a token is good
 * for *every* API that trusts the project.
 * Still refuses: the API keys `anon` and `service_role` (by `role`), ID tokens of its OAuth server, and other projects.
 *
 * Does NOT refuse users who signed in anonymously. Where that matters, require
 * `claims(({ is_anonymous }) => is_anonymous === false)`.
 *
 * @param options.url  the project's URL, `https://abcdefgh.supabase.co`, or its custom domain: the one in `iss`
 */
export function supabase(options: { readonly url: string }): IssuerOptions {
  const problems = new ProfileProblems('supabase', options, ['url'])
  const url = problems.address(options.url, 'url', ORIGIN, 'https://abcdefgh.supabase.co, without a path')
  return problems.cleared({
    issuer: `${url}/auth/v1`,
    jwksUri: `${url}/auth/v1/.well-known/jwks.json`,
    audience: ['authenticated'],
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'session_id'],
    requiredClaimValues: { role: ['authenticated'] }
  })
}

/**
 * Firebase Authentication and Google Identity Platform. Firebase calls the token for APIs an ID token; it issues no other.
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"iss":"https://securetoken.google.com/my-project","aud":"my-project","auth_time":…,"user_id":"…","sub":"…","iat":…,
 *  "exp":…,"email":"…","email_verified":true,"firebase":{"identities":{…},"sign_in_provider":"password"}}
 * ```
 *
 * Relaxes: `typ` is `JWT`; no client, no scopes, no `jti`. `aud` is the project, so a token is good for *every* API that
 * trusts the project.
 * Still refuses: other projects, whose tokens the same keys sign; session cookies and custom tokens (other issuers and
 * keys); ID tokens of Google itself; and refresh tokens.
 *
 * Does NOT look at the tenant of a multi-tenant project (`firebase.tenant`), nor at revocation: check both where needed.
 *
 * @param options.projectId  the project ID, not its number: `my-project`
 */
export function firebase(options: { readonly projectId: string }): IssuerOptions {
  const problems = new ProfileProblems('firebase', options, ['projectId'])
  const { projectId } = options
  problems.shape(projectId, 'projectId', /^[a-z][a-z\d-]{4,28}[a-z\d]$/, 'a project ID: my-project')
  return problems.cleared({
    issuer: `https://securetoken.google.com/${projectId}`,
    jwksUri: 'https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com',
    audience: [projectId],
    algorithms: ['RS256'],
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'auth_time'],
    requiredClaimValues: { firebase: true }
  })
}

/**
 * Clerk: session tokens of your own frontends (`origins`), or access tokens of OAuth applications (`clientIds`). Neither
 * names an API, so a token is good for *every* API that lists its origin or its client.
 *
 * ```
 * {"alg":"RS256","cat":"cl_…","kid":"ins_…","typ":"JWT"}
 * {"azp":"https://app.example.com","exp":…,"fva":[0,-1],"iat":…,"iss":"https://clerk.example.com","nbf":…,"sid":"sess_…",
 *  "sts":"active","sub":"user_…","v":2}
 * {"alg":"RS256","kid":"ins_…","typ":"at+jwt"}
 * {"iss":"https://clerk.example.com","sub":"user_…","client_id":"…","jti":"oat_…","iat":…,"nbf":…,"exp":…,
 *  "scope":"orders:read"}
 * ```
 *
 * Relaxes: no `aud`: `azp` (sessions) or `client_id` (OAuth) stands for it. For sessions also: `typ` is `JWT`; no client,
 * no scopes, no `jti`.
 * Still refuses: the other of both kinds; ID tokens; other origins and clients; sessions that are still pending (`sts`);
 * session tokens of version 1, which do not say so; and opaque tokens (`oat_…`).
 *
 * @param options.issuer     the Frontend API URL: `https://clerk.example.com` or `https://verb-noun-00.clerk.accounts.dev`
 * @param options.origins    origins of your frontends: `https://app.example.com`
 * @param options.clientIds  the OAuth applications that may call this API
 */
export function clerk(
  options: { readonly issuer: string } & (
    | { readonly origins: Names; readonly clientIds?: never }
    | { readonly origins?: never; readonly clientIds: Names }
  )
): IssuerOptions {
  const problems = new ProfileProblems('clerk', options, ['issuer', 'origins', 'clientIds'])
  const issuer = problems.address(options.issuer, 'issuer', ORIGIN, 'the Frontend API URL: https://clerk.example.com')
  const jwksUri = `${issuer}/.well-known/jwks.json`
  if ((options.origins === undefined) === (options.clientIds === undefined))
    problems.add('origins', 'must be given, or `clientIds`, and not both', 'an issuer has one kind of token here')
  if (options.clientIds !== undefined) {
    const audience = problems.list(options.clientIds, 'clientIds')
    return problems.cleared({ issuer, jwksUri, audience, audienceClaim: 'client_id' })
  }
  const audience =
    options.origins === undefined
      ? []
      : problems.shapes(options.origins, 'origins', ORIGIN, 'an origin without path: https://app.example.com')
  return problems.cleared({
    issuer,
    jwksUri,
    audience,
    audienceClaim: 'azp',
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'sid', 'iat'],
    requiredClaimValues: { sts: ['active'] }
  })
}

/**
 * WorkOS AuthKit: access tokens of Connect and MCP clients (`domain`), or session tokens of your own application
 * (`clientId`).
 *
 * ```
 * {"alg":"RS256","kid":"…"}
 * {"iss":"https://acme.authkit.app","aud":"https://api.example.com","sub":"user_…","client_id":"client_…","org_id":"org_…",
 *  "sid":"app_consent_…","scope":"openid orders:read","jti":"…","exp":…,"iat":…}
 * {"iss":"https://api.workos.com/user_management/client_…","sub":"user_…","sid":"session_…","org_id":"org_…","role":"member",
 *  "permissions":["orders:read"],"jti":"…","exp":…,"iat":…}
 * ```
 *
 * Relaxes: no `typ`. For sessions also: no `aud`, no client, no scopes. Nothing in a session token names an API, so it is
 * good for *every* API that trusts the environment.
 * Still refuses: ID tokens (their `aud` is the client; they name none), the other of both kinds, and other environments,
 * which have other issuers and other keys.
 *
 * @param options.domain    the AuthKit domain, without `https://`: `acme.authkit.app`
 * @param options.audience  with `domain`: the resource indicator of this API; for machines the environment's client ID
 * @param options.clientId  of the environment: `client_…`
 */
export function workosAuthKit(
  options:
    | { readonly domain: string; readonly audience: Names; readonly clientId?: never }
    | { readonly clientId: string; readonly domain?: never; readonly audience?: never }
): IssuerOptions {
  const problems = new ProfileProblems('workosAuthKit', options, ['domain', 'audience', 'clientId'])
  const { domain, clientId } = options
  if (clientId === undefined) {
    problems.shape(domain, 'domain', HOST, 'a host in lower case: acme.authkit.app')
    const audience = problems.list(options.audience, 'audience')
    return problems.cleared({
      issuer: `https://${domain}`,
      audience,
      tokenProfile: 'legacy',
      requiredClaims: ['sub', 'client_id', 'iat', 'jti']
    })
  }
  for (const option of ['domain', 'audience'] as const)
    if (options[option] !== undefined)
      problems.add(option, 'contradicts `clientId`', 'session tokens name no audience and come from another issuer')
  problems.shape(clientId, 'clientId', /^client_[\dA-Za-z]+$/, 'the client ID of the environment: client_…')
  return problems.cleared({
    issuer: `https://api.workos.com/user_management/${clientId}`,
    jwksUri: `https://api.workos.com/sso/jwks/${clientId}`,
    audience: null,
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'sid', 'iat', 'jti'],
    requiredClaimValues: { sid: true }
  })
}

/**
 * Logto, API resources and organizations. Its tokens are RFC 9068's; the profile knows issuer and metadata.
 *
 * ```
 * {"alg":"ES384","typ":"at+jwt","kid":"…"}
 * {"jti":"…","sub":"…","iat":…,"exp":…,"scope":"orders:read","client_id":"…","iss":"https://acme.logto.app/oidc",
 *  "aud":"https://api.example.com"}
 * ```
 *
 * Relaxes: nothing.
 * Still refuses: ID tokens; tokens for another API or organization; other tenants; and the opaque tokens that Logto
 * issues where the client asked for no `resource`: let it ask for one, or add `introspection`.
 *
 * @param options.endpoint  the Logto endpoint, without `/oidc`: `https://acme.logto.app`
 * @param options.audience  the API identifier, or `urn:logto:organization:<id>` for an organization's token
 */
export function logto(options: { readonly endpoint: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('logto', options, ['endpoint', 'audience'])
  const endpoint = problems.address(options.endpoint, 'endpoint', ORIGIN, 'https://acme.logto.app, without a path')
  const audience = problems.list(options.audience, 'audience')
  const issuer = `${endpoint}/oidc`
  return problems.cleared({ issuer, metadataUrl: `${issuer}/.well-known/openid-configuration`, audience })
}

/**
 * Salesforce, JWT-based access tokens (a switch of the connected app or external client app).
 *
 * ```
 * {"tnk":"core/…","ver":"1.0","kid":"CORE_ATJWT.…","tty":"sfdc-core-token","typ":"JWT","alg":"RS256"}
 * {"scp":"api refresh_token","aud":["https://acme.my.salesforce.com"],"sub":"uid:005…","nbf":…,"mty":"oauth","sfi":"…",
 *  "roles":[],"iss":"https://acme.my.salesforce.com","hsc":false,"exp":…,"iat":…,"client_id":"3MVG9…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; scopes in `scp`; no `jti`.
 * Still refuses: ID tokens (`at_hash`, and they name neither client nor scopes), other orgs, and opaque tokens.
 *
 * Such a token opens the REST API of the org too, so every API that receives it can act there for the user. Let it have an
 * audience and scopes of your own, and check those scopes.
 *
 * @param options.issuer    the My Domain URL or the site's URL: `https://acme.my.salesforce.com`
 * @param options.audience  what the app adds to `aud`; the org's own URL where it adds nothing
 */
export function salesforce(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('salesforce', options, ['issuer', 'audience'])
  const meaning = 'the URL of your org, https://acme.my.salesforce.com: login.salesforce.com is every org'
  const issuer = problems.address(options.issuer, 'issuer', /^(?!.*\/\/(?:login|test)\.salesforce\.com)/, meaning)
  const audience = problems.list(options.audience, 'audience')
  return problems.cleared({
    issuer,
    audience,
    algorithms: ['RS256'],
    tokenProfile: 'legacy',
    scopeClaim: 'scp',
    requiredClaims: ['sub', 'client_id', 'iat', 'scp']
  })
}
