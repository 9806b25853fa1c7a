/**
 * Vendor profile: Google.
 *
 * Tests: `test/profiles/profiles.test.ts`.
 */
import { noClientAuth } from '../../issuer/client-auth.js'
import type { IssuerOptions } from '../../issuer/settings.js'
import type { Claims } from '../../types.js'
import { type Names, ProfileProblems } from '../problems.js'

/**
 * Google, access tokens of your own OAuth clients (`ya29.…`), which are opaque. Google does not implement RFC 7662, so
 * `tokeninfo` is queried. Such a token is made for Google's APIs, and every API that receives it can call them. Prefer
 * an authorization server that issues tokens for your API.
 *
 * ```
 * 200 {"azp":"123-abc.apps.googleusercontent.com","aud":"123-abc.apps.googleusercontent.com","sub":"1112…",
 *  "scope":"openid https://www.googleapis.com/auth/userinfo.email","exp":"1750000300","expires_in":"300","access_type":"online"}
 * 400 {"error":"invalid_token","error_description":"Invalid Value"}
 * ```
 *
 * Relaxes: `active` and `iss` are not required; a 400 means "not active"; `exp` may be a text, in this answer only.
 * Still refuses: tokens of other people's clients (by `aud`), ID tokens, and an answer without `exp`.
 *
 * @param options.clientIds  your OAuth clients
 */
export function google(options: { readonly clientIds: Names }): IssuerOptions {
  const problems = new ProfileProblems('google', options, ['clientIds'])
  const audience = problems.list(options.clientIds, 'clientIds')
  return problems.cleared({
    issuer: 'https://accounts.google.com',
    audience,
    tokens: 'opaque',
    scopeClaim: 'scope',
    clientIdClaim: 'azp',
    introspection: {
      endpoint: 'https://oauth2.googleapis.com/tokeninfo',
      auth: noClientAuth(),
      tokenPrefix: 'ya29.',
      dialect: { form: (token) => ({ access_token: token }), read: readTokenInfo }
    }
  })
}

/** @throws {Error} an answer that tokeninfo does not give */
function readTokenInfo(status: number, body: unknown): Claims | undefined {
  if (status === 400) return undefined
  if (status !== 200 || typeof body !== 'object' || body === null) throw new Error(`tokeninfo answered ${status}`)
  const { exp, ...members } = body as Claims
  if (!/^\d{1,12}$/.test(String(exp))) throw new Error('tokeninfo did not say when the token expires')
  return { ...members, exp: Number(exp) }
}
