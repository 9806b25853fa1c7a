/**
 * Vendor profile: Okta.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Okta, custom authorization servers. Not the org authorization server (an issuer without `/oauth2/…`): its access
 * tokens look like JWTs, but they are for Okta's own APIs, and only Okta may verify them.
 *
 * ```
 * {"kid":"…","alg":"RS256"}
 * {"ver":1,"jti":"AT.…","iss":"https://acme.okta.com/oauth2/default","aud":"api://default","iat":…,"exp":…,
 *  "cid":"0oa…","uid":"00u…","scp":["openid","orders.read"],"auth_time":…,"sub":"ada@example.com","groups":["…"]}
 * ```
 *
 * Relaxes: `typ` may be missing; scopes in the array `scp`; the client in `cid`. Roles are in `groups`, if the
 * authorization server has a groups claim of that name.
 * Still refuses: ID tokens (`jti` `ID.…`, no `cid`), and tokens of other authorization servers of the same Okta org.
 *
 * @param options.issuer    the Issuer URI of the authorization server: `https://acme.okta.com/oauth2/default`
 * @param options.audience  its Audience: `api://default`
 */
export function okta(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('okta', options, ['issuer', 'audience'])
  const meaning =
    'a custom authorization server, https://acme.okta.com/oauth2/default: tokens of the org authorization server are for Okta only'
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
