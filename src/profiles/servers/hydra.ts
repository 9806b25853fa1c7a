/**
 * Vendor profile: Ory Hydra.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * Ory Hydra and Ory Network, with `strategies.access_token: jwt` (the default is opaque: add `introspection`).
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"aud":["https://api.example.com"],"client_id":"…","exp":…,"ext":{},"iat":…,"iss":"https://hydra.example.com/","jti":"…",
 *  "nbf":…,"scp":["orders:read"],"sub":"…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; scopes are in the array `scp`.
 * Still refuses: ID tokens, which have no client claim; and tokens with an empty `aud`, which Hydra issues until the
 * client may request an `audience` and does so.
 *
 * @param options.issuer    `urls.self.issuer`, including its trailing slash if it has one
 * @param options.audience  the value that clients request as `audience`
 */
export function hydra(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('hydra', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, /./, 'https://hydra.example.com/'),
    tokenProfile: 'legacy',
    scopeClaim: ['scp', 'scope'],
    requiredClaims: ['sub', 'client_id', 'iat', 'jti']
  })
}
