/** The claims of a good access token (RFC 9068 §2.2). */
import { randomUUID } from 'node:crypto'
import type { JsonObject } from './keys.js'

/** Claims that replace those of a good token; `undefined` removes a claim. */
export interface TestClaims {
  /** Space-delimited, or an array that becomes so. Default: none. */
  readonly scope?: string | readonly string[] | undefined
  /** For an issuer with `rolesClaim: 'roles'`; another place is written as the token has it: `realm_access: { roles: ['admin'] }`. */
  readonly roles?: readonly string[] | undefined
  readonly [claim: string]: unknown
}

interface Issued {
  readonly issuer: string
  readonly audience: string
  /** Seconds since the epoch. */
  readonly at: number
  /** Seconds from `iat` to `exp`. */
  readonly lifetime: number
}

export function accessTokenClaims(
  { issuer, audience, at, lifetime }: Issued,
  { scope, ...claims }: TestClaims
): JsonObject {
  const time = Math.floor(at)
  return {
    iss: issuer,
    aud: audience,
    sub: 'user-1',
    client_id: 'client-1',
    iat: time,
    exp: time + lifetime,
    jti: randomUUID(),
    scope: Array.isArray(scope) ? scope.join(' ') : scope,
    ...claims
  }
}
