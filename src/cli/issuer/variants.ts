/**
 * Faulty copies of a token, for a person who wants to see how an API refuses them: expired, for another API, without
 * scopes. A client that has the token may have a copy that opens less, so it needs no other credentials.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { type Answer, OAuthError, parameter } from './answers.js'
import type { Tokens } from './tokens.js'

/** The audience of a token for another API. */
const OTHER_API = 'https://another-api.example'

type Claims = Readonly<Record<string, unknown>>

const CHANGES: Readonly<Record<string, (claims: Claims, lifetime: number) => Claims>> = {
  expired: (claims, lifetime) => {
    const exp = Math.floor(Date.now() / 1000) - lifetime
    return { ...claims, iat: exp - lifetime, exp }
  },
  audience: (claims) => ({ ...claims, aud: OTHER_API }),
  scope: (claims) => ({ ...claims, scope: undefined })
}

/**
 * @param introspect  returns the claims of an active token
 * @param lifetime    seconds of a token; an expired one ended that long ago
 * @throws {OAuthError} 400 for another change, and for a token that is not active
 */
export async function issueVariant(
  form: URLSearchParams,
  introspect: (token: string) => Promise<Claims | undefined>,
  tokens: Tokens,
  lifetime: number
): Promise<Answer> {
  const change = parameter(form, 'change') ?? ''
  const token = parameter(form, 'token')
  if (!Object.hasOwn(CHANGES, change))
    throw new OAuthError(400, 'invalid_request', `change must be one of ${Object.keys(CHANGES).join(', ')}.`)
  const known = token === undefined ? undefined : await introspect(token)
  if (token === undefined || known === undefined)
    throw new OAuthError(400, 'invalid_request', 'token must be an active token of this issuer.')
  const { active: _, token_type: type, ...claims } = known
  const changed = CHANGES[change]?.(claims, lifetime) ?? claims
  return {
    status: 200,
    headers: { 'Cache-Control': 'no-store' },
    body: { access_token: tokens.sign(changed, token.split('.').length !== 3), token_type: type }
  }
}
