/**
 * Vendor profile: Logto.
 *
 * Tests: `test/profiles/vendors.test.ts`.
 */
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ORIGIN, ProfileProblems } from '../problems.js'

/**
 * Logto, API resources and organizations. Its tokens follow RFC 9068; the profile derives issuer and metadata URL.
 *
 * ```
 * {"alg":"ES384","typ":"at+jwt","kid":"…"}
 * {"jti":"…","sub":"…","iat":…,"exp":…,"scope":"orders:read","client_id":"…","iss":"https://acme.logto.app/oidc",
 *  "aud":"https://api.example.com"}
 * ```
 *
 * Relaxes: nothing.
 * Still refuses: ID tokens; tokens for another API or organization; other tenants; and the opaque tokens that Logto
 * issues if the client requests no `resource`: let it request one, or add `introspection`.
 *
 * @param options.endpoint  the Logto endpoint, without `/oidc`: `https://acme.logto.app`
 * @param options.audience  the API identifier, or `urn:logto:organization:<id>` for an organization's token
 */
export function logto(options: { readonly endpoint: string; readonly audience: Names }): IssuerOptions {
  const problems = new ProfileProblems('logto', options, ['endpoint', 'audience'])
  const endpoint = problems.address(options.endpoint, 'endpoint', ORIGIN, 'https://acme.logto.app, without a path')
  const audience = problems.list(options.audience, 'audience')
  const issuer = `${endpoint}/oidc`
  return problems.cleared({ issuer, metadataUrl: `${issuer}/.well-known/openid-configuration`, audience })
}
