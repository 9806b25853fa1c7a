/**
 * Vendor profile: PingAM and ForgeRock AM.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * PingAM (ForgeRock AM) and PingOne Advanced Identity Cloud, with client-side (stateless) tokens signed asymmetrically.
 *
 * ```
 * {"typ":"JWT","kid":"…","alg":"RS256"}
 * {"sub":"…","cts":"OAUTH2_STATELESS_GRANT","auditTrackingId":"…","iss":"https://am.example.com:443/am/oauth2/alpha",
 *  "tokenName":"access_token","token_type":"Bearer","authGrantId":"…","client_id":"web","aud":"web","nbf":…,
 *  "grant_type":"authorization_code","scope":["orders:read"],"auth_time":…,"realm":"/alpha","exp":…,"iat":…,"jti":"…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`; a `nonce` is accepted; a client claim is not required, because older versions have none.
 * `aud` is the client, so a token is valid for *every* API that lists it.
 * Still refuses: ID and refresh tokens, signed by the same keys, by their `tokenName`; other realms and other clients.
 *
 * @param options.issuer    the realm's issuer exactly as in the metadata, usually with its port:
 *   `https://am.example.com:443/am/oauth2/alpha`
 * @param options.audience  the clients that may call this API
 */
export function pingAm(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('pingAm', options, ['issuer', 'audience'])
  const meaning = 'the realm’s issuer: https://am.example.com:443/am/oauth2/alpha'
  return problems.cleared({
    ...issuerAndAudience(problems, options, /\/oauth2(\/[^?#]*[^/?#])?$/, meaning),
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'jti'],
    requiredClaimValues: { tokenName: ['access_token'] }
  })
}
