/**
 * Vendor profile: FusionAuth.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { GUID, type Names, ORIGIN, ProfileProblems } from '../problems.js'

/**
 * FusionAuth, tenants whose access tokens are signed with RS256 or ES256 (the default key is a shared secret, HS256).
 *
 * ```
 * {"typ":"JWT","alg":"RS256","kid":"…"}
 * {"aud":"<application id>","exp":…,"iat":…,"iss":"acme.com","sub":"…","jti":"…","authenticationType":"PASSWORD",
 *  "applicationId":"<application id>","roles":["user"],"scope":"openid","auth_time":…,"tid":"<tenant id>","tty":"at"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; `iss` need not be a URL; the client is in `applicationId`; `jti` is not required. `aud` is
 * the application, so a token is valid for *every* API that lists it.
 * Still refuses: ID tokens and all other tokens whose `tty` is not `at`; other applications; and other tenants (`tid`),
 * which share the key set and by default the `iss`.
 *
 * @param options.url             URL of FusionAuth: `https://auth.example.com`
 * @param options.tenantId        the tenant's ID, a GUID
 * @param options.applicationIds  the applications that may call this API
 * @param options.issuer          the tenant's *Issuer*, the value of `iss`: `acme.com`. Default: `url`
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
