/** Vendor profile: Keycloak. */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

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
