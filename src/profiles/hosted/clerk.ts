/**
 * Vendor profile: Clerk.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ORIGIN, ProfileProblems } from '../problems.js'

/**
 * Clerk: session tokens of your own frontends (`origins`), or access tokens of OAuth applications (`clientIds`).
 * Neither names an API, so a token is valid for *every* API that lists its origin or its client.
 *
 * ```
 * {"alg":"RS256","cat":"cl_…","kid":"ins_…","typ":"JWT"}
 * {"azp":"https://app.example.com","exp":…,"fva":[0,-1],"iat":…,"iss":"https://clerk.example.com","nbf":…,"sid":"sess_…",
 *  "sts":"active","sub":"user_…","v":2}
 * {"alg":"RS256","kid":"ins_…","typ":"at+jwt"}
 * {"iss":"https://clerk.example.com","sub":"user_…","client_id":"…","jti":"oat_…","iat":…,"nbf":…,"exp":…,
 *  "scope":"orders:read"}
 * ```
 *
 * Relaxes: `azp` (sessions) or `client_id` (OAuth) replaces `aud`. For sessions also: `typ` is `JWT`; client, scopes
 * and `jti` are not required.
 * Still refuses: tokens of the other kind; ID tokens; other origins and clients; sessions that are still pending
 * (`sts`); session tokens of version 1, which have no `sts`; and opaque tokens (`oat_…`).
 *
 * @param options.issuer     the Frontend API URL: `https://clerk.example.com` or `https://verb-noun-00.clerk.accounts.dev`
 * @param options.origins    origins of your frontends: `https://app.example.com`
 * @param options.clientIds  the OAuth applications that may call this API
 */
export function clerk(
  options: { readonly issuer: string } & (
    | { readonly origins: Names; readonly clientIds?: never }
    | { readonly origins?: never; readonly clientIds: Names }
  )
): IssuerOptions {
  const problems = new ProfileProblems('clerk', options, ['issuer', 'origins', 'clientIds'])
  const issuer = problems.address(options.issuer, 'issuer', ORIGIN, 'the Frontend API URL: https://clerk.example.com')
  const jwksUri = `${issuer}/.well-known/jwks.json`
  if ((options.origins === undefined) === (options.clientIds === undefined))
    problems.add('origins', 'must be given, or `clientIds`, and not both', 'an issuer has one kind of token here')
  if (options.clientIds !== undefined) {
    const audience = problems.list(options.clientIds, 'clientIds')
    return problems.cleared({ issuer, jwksUri, audience, audienceClaim: 'client_id' })
  }
  const audience =
    options.origins === undefined
      ? []
      : problems.shapes(options.origins, 'origins', ORIGIN, 'an origin without path: https://app.example.com')
  return problems.cleared({
    issuer,
    jwksUri,
    audience,
    audienceClaim: 'azp',
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'sid', 'iat'],
    requiredClaimValues: { sts: ['active'] }
  })
}
