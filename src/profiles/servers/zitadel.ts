/**
 * Vendor profile: Zitadel.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ORIGIN, ProfileProblems } from '../problems.js'
import { issuerAndAudience } from './issuer-and-audience.js'

/**
 * Zitadel, applications whose access tokens are JWTs (the default is opaque: add `introspection`).
 *
 * ```
 * {"alg":"RS256","kid":"…","typ":"JWT"}
 * {"iss":"https://acme.zitadel.cloud","sub":"…","aud":["<client id>","<project id>"],"exp":…,"iat":…,"nbf":…,
 *  "client_id":"<client id>","jti":"…"}
 * ```
 *
 * Relaxes: `typ` is `JWT`. Zitadel writes no scopes into a JWT: check roles (`urn:zitadel:iam:org:project:roles`).
 * Still refuses: ID tokens, which have the same audiences and the same `client_id`, but no `jti`; tokens for other
 * projects; and other instances.
 *
 * Does NOT tell organizations of one instance apart: check `urn:zitadel:iam:user:resourceowner:id`.
 *
 * @param options.issuer    the instance: `https://acme.zitadel.cloud`
 * @param options.audience  the project's ID, which clients request with the scope
 *   `urn:zitadel:iam:org:project:id:<id>:aud`
 */
export function zitadel(options: { readonly issuer: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('zitadel', options, ['issuer', 'audience'])
  return problems.cleared({
    ...issuerAndAudience(problems, options, ORIGIN, 'https://acme.zitadel.cloud, without a path'),
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'client_id', 'iat', 'jti']
  })
}
