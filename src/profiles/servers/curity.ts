/**
 * Vendor profile: Curity.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * Curity Identity Server, JWT access tokens (the default is opaque: add `introspection`).
 *
 * ```
 * {"kid":"…","x5t":"…","alg":"RS256"}
 * {"jti":"…","delegationId":"…","exp":…,"nbf":…,"scope":"openid orders:read","sub":"…",
 *  "iss":"https://id.example.com/oauth/v2/oauth-anonymous","aud":"https://api.example.com","iat":…,"purpose":"access_token"}
 * ```
 *
 * Relaxes: `typ` may be missing; a client claim is not required: add `client_id` to the token if you need it.
 * Still refuses: ID and refresh tokens, signed by the same keys, by their `purpose`; tokens for another API. A scope
 * without its own audience gets the client as `aud`: give the API's scopes an audience.
 *
 * @param options.issuer    the issuer of the token service profile: `https://id.example.com/oauth/v2/oauth-anonymous`
 * @param options.audience  the audience of the API's scopes
 */
export function curity(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('curity', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, /./, 'https://id.example.com/oauth/v2/oauth-anonymous'),
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'jti'],
    requiredClaimValues: { purpose: ['access_token'] }
  })
}
