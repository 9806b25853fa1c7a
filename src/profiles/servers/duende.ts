/**
 * Vendor profile: Duende IdentityServer.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Duende IdentityServer.
 * ```
 * {"alg":"RS256","kid":"…","typ":"at+jwt"}
 * {"iss":"https://id.example.com","nbf":…,"iat":…,"exp":…,"aud":"orders","scope":["orders.read"],"client_id":"m2m","jti":"…"}
 * ```
 *
 * Relaxes: `sub` is not required: tokens from client credentials have none, and their `access.subject` is undefined.
 * Still refuses: every token whose `typ` is not `at+jwt`, including ID tokens; and tokens without `aud`: the API needs
 * an `ApiResource`.
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
