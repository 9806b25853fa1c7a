/**
 * Vendor profile: authentik.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * authentik, OAuth2 providers with an RSA or EC signing key (without one, tokens are signed with the client's secret).
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"iss":"https://authentik.example.com/application/o/orders/","sub":"…","aud":"<client id>","exp":…,"iat":…,"auth_time":…,
 *  "acr":"goauthentik.io/providers/oauth2/default","sid":"…","azp":"<client id>","uid":"…","scope":"openid orders:read"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; the client is in `azp`; `jti` is not required. `aud` is the client, so a token is valid for
 * *every* API that lists it.
 * Still refuses: ID tokens, which have the same audience but neither `azp` nor `uid`; and tokens of other providers.
 *
 * @param options.issuer    the provider's issuer with its final slash: `https://authentik.example.com/application/o/orders/`
 * @param options.audience  the provider's client ID
 */
export function authentik(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('authentik', options, ['issuer', 'audience'])
  const meaning = 'the issuer with its final slash: https://authentik.example.com/application/o/orders/'
  return problems.cleared({
    ...issuerAndAudience(problems, options, /\/$/, meaning),
    tokenProfile: 'legacy',
    clientIdClaim: ['azp', 'client_id'],
    requiredClaims: ['sub', 'client_id', 'iat'],
    requiredClaimValues: { uid: true }
  })
}
