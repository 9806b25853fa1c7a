/**
 * Vendor profile: Telnyx.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import { bearerToken } from '../../issuer/client-auth.js'
import type { IssuerOptions } from '../../issuer/settings.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Telnyx. Every token is introspected; `tokens: 'both'` verifies JWTs locally instead.
 *
 * ```
 * 200 {"active":true,"aud":"https://api.example.com","client_id":"…","exp":…,"iat":…,"iss":"https://api.telnyx.com","scope":"admin"}
 * ```
 *
 * Relaxes: `sub` and `jti` are not required, so `access.subject` may be undefined; the API key, sent as a Bearer token,
 * authenticates this API.
 * Still refuses: answers without `aud` or for another API. Telnyx does not document its issuer: if it is not the origin
 * of `base`, override `issuer`.
 *
 * @param options.apiKey    the API key of this API, or a function that returns it for each request
 * @param options.audience  default: the option `resource`
 * @param options.base      URL of the Telnyx API, for tests and local servers. Default `https://api.telnyx.com/v2`
 */
export function telnyx(options: {
  readonly apiKey: string | (() => string | Promise<string>)
  readonly audience?: Names
  readonly base?: string
}): IssuerOptions {
  const problems = new ProfileProblems('telnyx', options, ['apiKey', 'audience', 'base'])
  const { apiKey, audience, base: given = 'https://api.telnyx.com/v2' } = options
  if (typeof apiKey !== 'function' && !apiKey) problems.add('apiKey', 'is missing or empty', 'is a variable unset?')
  const base = problems.address(given, 'base', /^[^?#]*[^/?#]$/, 'https://api.telnyx.com/v2, without a final slash')
  const identifiers = audience === undefined ? undefined : problems.list(audience, 'audience')
  const { origin } = new URL(problems.cleared(base))
  return {
    issuer: origin,
    metadataUrl: `${origin}/.well-known/oauth-authorization-server`,
    ...(identifiers && { audience: identifiers }),
    tokens: 'opaque',
    requiredClaims: ['client_id', 'iat'],
    introspection: { endpoint: `${base}/oauth/introspect`, auth: bearerToken(apiKey) }
  }
}
