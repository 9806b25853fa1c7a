/**
 * The access tokens of the development issuer: JWTs (RFC 9068 §2) or opaque, and what introspection says of both (RFC 7662
 * §2.2). They are kept in memory, so after a restart no token is active.
 *
 * Tests: `test/cli/issuer.test.ts`.
 */
import { randomBytes } from 'node:crypto'
import { accessTokenClaims } from '../../../test-kit/claims.js'
import { type JsonObject, signJwt, type TestKey } from '../../../test-kit/keys.js'

/** Seconds from `iat` to `exp`. */
export const TOKEN_LIFETIME = 3600

/** Maximum tokens that introspection knows. The oldest is forgotten, which makes it inactive. */
const MAX_TOKENS = 10_000

interface Grant {
  readonly audience: string
  readonly subject: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** Thumbprint of the client's DPoP key (RFC 9449 §6.1). */
  readonly jkt: string | undefined
}

export interface Tokens {
  issue(grant: Grant): string
  /** Makes a token of these claims: a JWT, or an opaque one. */
  sign(claims: JsonObject, isOpaque: boolean): string
  /** Makes a token known to introspection, by its claims. */
  remember(token: string, claims: JsonObject): void
  /** Makes a token inactive for introspection. */
  forget(token: string): void
  /** The introspection answer for a known token that has not expired; otherwise undefined. */
  introspect(token: string): JsonObject | undefined
}

export function createTokens(issuer: string, key: TestKey, opaque: boolean): Tokens {
  const known = new Map<string, JsonObject>()
  const remember = (token: string, claims: JsonObject): void => {
    known.set(token, claims)
    const [oldest] = known.keys()
    if (known.size > MAX_TOKENS && oldest !== undefined) known.delete(oldest)
  }
  const sign = (claims: JsonObject, isOpaque: boolean): string => {
    const token = isOpaque
      ? randomBytes(32).toString('base64url')
      : signJwt({ typ: 'at+jwt', alg: key.alg, kid: key.kid }, claims, key)
    remember(token, claims)
    return token
  }
  return {
    issue: ({ audience, subject, clientId, scopes, jkt }) => {
      const at = Date.now() / 1000
      const claims = accessTokenClaims(
        { issuer, audience, at, lifetime: TOKEN_LIFETIME },
        {
          sub: subject,
          client_id: clientId,
          scope: scopes.length > 0 ? scopes : undefined,
          ...(jkt !== undefined && { cnf: { jkt } })
        }
      )
      return sign(claims, opaque)
    },
    sign,
    remember,
    forget: (token) => void known.delete(token),
    introspect: (token) => {
      const claims = known.get(token)
      if (claims === undefined || Number(claims['exp']) <= Date.now() / 1000) return undefined
      const { cnf } = claims as { readonly cnf?: { readonly jkt?: string } }
      return { active: true, token_type: cnf?.jkt === undefined ? 'Bearer' : 'DPoP', ...claims }
    }
  }
}
