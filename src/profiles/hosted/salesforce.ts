/**
 * Vendor profile: Salesforce.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Salesforce, JWT-based access tokens (a switch of the connected app or external client app).
 *
 * ```
 * {"tnk":"core/…","ver":"1.0","kid":"CORE_ATJWT.…","tty":"sfdc-core-token","typ":"JWT","alg":"RS256"}
 * {"scp":"api refresh_token","aud":["https://acme.my.salesforce.com"],"sub":"uid:005…","nbf":…,"mty":"oauth","sfi":"…",
 *  "roles":[],"iss":"https://acme.my.salesforce.com","hsc":false,"exp":…,"iat":…,"client_id":"3MVG9…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; scopes in `scp`; `jti` is not required.
 * Still refuses: ID tokens (`at_hash`, and they name neither client nor scopes), other orgs, and opaque tokens.
 *
 * Such a token also grants access to the org's REST API, so every API that receives it can act there for the user.
 * Configure an audience and scopes of your own, and check those scopes.
 *
 * @param options.issuer    the My Domain URL or the site's URL: `https://acme.my.salesforce.com`
 * @param options.audience  the audience that the app adds to `aud`, or the org's own URL if it adds none
 */
export function salesforce(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('salesforce', options, ['issuer', 'audience'])
  const meaning = 'the URL of your org, https://acme.my.salesforce.com: login.salesforce.com serves every org'
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
