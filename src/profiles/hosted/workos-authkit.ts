/**
 * Vendor profile: WorkOS AuthKit.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { HOST, type Names, ProfileProblems } from '../problems.js'

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
 * Relaxes: `typ` may be missing. For sessions also: `aud`, client and scopes are not required. A session token names no
 * API, so it is valid for *every* API that trusts the environment.
 * Still refuses: ID tokens (their `aud` is the client, and they have no client claim), tokens of the other kind, and
 * other environments, which have other issuers and keys.
 *
 * @param options.domain    the AuthKit domain, without `https://`: `acme.authkit.app`
 * @param options.audience  with `domain`: the resource indicator of this API; for machines the environment's client ID
 * @param options.clientId  the client ID of the environment: `client_…`
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
