/**
 * Vendor profile: WSO2.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * WSO2 Identity Server, WSO2 API Manager and Asgardeo, with JWT access tokens.
 *
 * ```
 * {"x5t":"…","kid":"…","typ":"at+jwt","alg":"RS256"}
 * {"sub":"…","aut":"APPLICATION_USER","iss":"https://api.asgardeo.io/t/acme/oauth2/token","client_id":"…","aud":"<client id>",
 *  "nbf":…,"azp":"<client id>","org_id":"…","scope":"orders:read","exp":…,"iat":…,"jti":"…"}
 * ```
 *
 * Relaxes: the client may be in `azp` alone. `aud` is the client unless the application lists audiences, so a token is
 * valid for *every* API that lists it.
 * Still refuses: ID tokens and the gateway's backend JWTs, which are not `at+jwt`; other clients; other tenants.
 *
 * @param options.issuer    the tenant's issuer, which ends with `/oauth2/token`:
 *   `https://api.asgardeo.io/t/acme/oauth2/token`
 * @param options.audience  the clients that may call this API, or the audience that the application lists
 */
export function wso2(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('wso2', options, ['issuer', 'audience'])
  const meaning = 'the issuer in the tokens: https://api.asgardeo.io/t/acme/oauth2/token'
  const { issuer, audience } = issuerAndAudience(problems, options, /\/oauth2\/token$/, meaning)
  return problems.cleared({
    issuer,
    metadataUrl: `${issuer}/.well-known/openid-configuration`,
    audience,
    clientIdClaim: ['client_id', 'azp']
  })
}
