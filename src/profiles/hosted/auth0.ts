/**
 * Vendor profile: Auth0.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Auth0, APIs with the default token profile "Auth0". APIs with "RFC 9068" need no profile, except for the issuer's
 * trailing slash.
 * ```
 * {"alg":"RS256","typ":"JWT","kid":"…"}
 * {"iss":"https://tenant.eu.auth0.com/","sub":"auth0|5f7c8ec7c33c6c004bbafe82","aud":["https://api.example.com",
 *  "https://tenant.eu.auth0.com/userinfo"],"iat":…,"exp":…,"azp":"my_client_id","scope":"openid read:orders"}
 * ```
 *
 * Relaxes: `typ` may be `JWT`; the client is in `azp`; `jti` is not required. The issuer ends with a slash.
 * Still refuses: ID tokens (their `aud` is the application; they name no client), tokens for another API, and the
 * opaque or encrypted tokens that Auth0 issues if the client requests no audience.
 *
 * @param options.domain       the tenant's domain or its custom domain, without `https://`: `tenant.eu.auth0.com`; with its port where there is one
 * @param options.audience     the API's identifier in Auth0
 * @param options.permissions  read the scopes from `permissions` (RBAC) where there is one: everything that the *user*
 *   may do, whatever scopes the client requested. Default false
 * @param options.rolesClaim   the claim that your own Action writes the roles to, `https://example.com/roles`: Auth0
 *   has no standard claim. Default: no roles are read
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
