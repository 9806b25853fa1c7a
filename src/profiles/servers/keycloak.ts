/**
 * Vendor profile: Keycloak.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Keycloak, realms in which some clients do not have "Use "at+jwt" as access token header type". Tokens of clients that
 * have it are accepted too.
 *
 * ```
 * {"alg":"RS256","typ":"JWT","kid":"…"}
 * {"exp":…,"iat":…,"jti":"…","iss":"https://sso.example.com/realms/acme","aud":["orders-api","account"],"sub":"…",
 *  "typ":"Bearer","azp":"web","sid":"…","acr":"1","realm_access":{"roles":["…"]},
 *  "resource_access":{"orders-api":{"roles":["…"]},"account":{"roles":["…"]}},"scope":"openid orders:read"}
 * ```
 *
 * Relaxes: the header's `typ` may be `JWT`; the client is in `azp`. Roles come from the realm (`realm_access`) and,
 * with `clientId`, from that client (`resource_access`). Roles of other clients are ignored.
 * Still refuses: tokens whose claim `typ` is not `Bearer` or `DPoP` (ID, refresh, offline and logout tokens, signed by
 * the same keys), and tokens whose `aud` does not name this API. Add an audience mapper: by default `aud` is `account`
 * or missing.
 *
 * @param options.issuer    the realm: `https://sso.example.com/realms/acme`
 * @param options.audience  the value that the audience mapper adds
 * @param options.clientId  the client of this API in the realm. Its client roles count like realm roles of the same
 *   name. Default: realm roles only
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
