/**
 * Vendor profile: Supabase Auth.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { ORIGIN, ProfileProblems } from '../problems.js'

/**
 * Supabase Auth, projects with asymmetric signing keys. Tokens of projects with the old shared secret (HS256) are refused.
 *
 * ```
 * {"alg":"ES256","typ":"JWT","kid":"…"}
 * {"iss":"https://abcdefgh.supabase.co/auth/v1","sub":"…","aud":"authenticated","exp":…,"iat":…,"role":"authenticated",
 *  "aal":"aal1","amr":[{"method":"password","timestamp":…}],"session_id":"…","is_anonymous":false,"email":"…","phone":""}
 * ```
 *
 * Relaxes: `typ` is `JWT`; client, scopes and `jti` are not required. `aud` is `authenticated` in every project, so a
 * token is valid for *every* API that trusts the project.
 * Still refuses: the API keys `anon` and `service_role` (by `role`), ID tokens of its OAuth server, and other projects.
 *
 * Does NOT refuse users who signed in anonymously. Where that matters, require
 * `claims(({ is_anonymous }) => is_anonymous === false)`.
 *
 * @param options.url  the project's URL, `https://abcdefgh.supabase.co`, or its custom domain: the one in `iss`
 */
export function supabase(options: { readonly url: string }): IssuerOptions {
  const problems = new ProfileProblems('supabase', options, ['url'])
  const url = problems.address(options.url, 'url', ORIGIN, 'https://abcdefgh.supabase.co, without a path')
  return problems.cleared({
    issuer: `${url}/auth/v1`,
    jwksUri: `${url}/auth/v1/.well-known/jwks.json`,
    audience: ['authenticated'],
    tokenProfile: 'legacy',
    requiredClaims: ['sub', 'iat', 'session_id'],
    requiredClaimValues: { role: ['authenticated'] }
  })
}
