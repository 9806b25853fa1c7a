/**
 * Vendor profile: Spring Authorization Server.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * Spring Authorization Server, without an `OAuth2TokenCustomizer` of your own.
 *
 * ```
 * {"kid":"…","alg":"RS256"}
 * {"sub":"ada","aud":"web","nbf":…,"scope":["orders:read"],"iss":"https://auth.example.com","exp":…,"iat":…,"jti":"…"}
 * ```
 *
 * Relaxes: `typ` may be missing; a client claim and `jti` are not required (`jti` exists since 1.2). `aud` is the
 * client, so a token is valid for *every* API that lists it.
 * Still refuses: ID tokens, which have the same audience but no `scope`; other clients; and access tokens without a
 * scope, which look like ID tokens.
 *
 * @param options.issuer    `AuthorizationServerSettings.issuer`: `https://auth.example.com`
 * @param options.audience  the clients that may call this API, or the value that a customizer writes into `aud`
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
