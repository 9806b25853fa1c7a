/**
 * Confirms that a token came from whom it was issued to: `cnf` (RFC 7800 §3.1) × the scheme × what was presented. The
 * only place that makes an {@link Access}.
 *
 * A token that is bound to a key is refused as a plain bearer token: with DPoP (`jkt`, RFC 9449 §7.2), a certificate
 * (`x5t#S256`, RFC 8705 §3), or anything else that cannot be confirmed here.
 */
import { InvalidToken } from './errors.js'
import type { Access, AccessToken, Claims, Confirmation, Credentials } from './types.js'

/** Confirms the sender and returns what a handler may rely on. */
export type Confirm = (accessToken: AccessToken, credentials: Credentials) => Access

/** The same unbound token gives the same `Access`: it holds nothing of the request. */
export function createConfirm(): Confirm {
  const known = new WeakMap<AccessToken, Access>()
  return (accessToken, credentials) => {
    let access = known.get(accessToken)
    if (access === undefined) {
      requireUnbound(accessToken)
      access = Object.freeze(new ConfirmedAccess(accessToken, credentials.scheme))
      known.set(accessToken, access)
    }
    return access
  }
}

/** @throws {InvalidToken} the token is bound to a key */
function requireUnbound({ confirmation, claims }: AccessToken): void {
  const isDpop = typeof claims['token_type'] === 'string' && claims['token_type'].toLowerCase() === 'dpop'
  if (isDpop || confirmation?.['jkt'] !== undefined) throw new InvalidToken('dpop_downgrade')
  if (confirmation?.['x5t#S256'] !== undefined) throw new InvalidToken('certificate_binding')
  if (confirmation !== undefined)
    throw new InvalidToken('confirmation_unknown', { received: Object.keys(confirmation) })
}

/** True for an {@link Access} made by this package: another one may have put something else under the same name. */
export function isAccess(value: unknown): value is Access {
  return ConfirmedAccess.isOne(value)
}

class ConfirmedAccess implements Access {
  readonly #accessToken: AccessToken
  readonly scheme: 'Bearer'
  readonly issuer: string
  readonly subject: string | undefined
  readonly subjectType: 'client' | 'unknown'
  readonly clientId: string | undefined
  readonly audience: readonly string[]
  readonly scopes: readonly string[]
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
  readonly confirmation: Confirmation | undefined
  readonly claims: Claims

  constructor(accessToken: AccessToken, scheme: 'Bearer') {
    this.#accessToken = accessToken
    this.scheme = scheme
    this.issuer = accessToken.issuer
    this.subject = accessToken.subject
    this.subjectType = accessToken.subjectType
    this.clientId = accessToken.clientId
    this.audience = accessToken.audience
    this.scopes = accessToken.scopes
    this.issuedAt = accessToken.issuedAt
    this.expiresAt = accessToken.expiresAt
    this.confirmation = accessToken.confirmation
    this.claims = accessToken.claims
  }

  static isOne(value: unknown): value is ConfirmedAccess {
    return typeof value === 'object' && value !== null && #accessToken in value
  }

  get token(): string {
    return this.#accessToken.token
  }

  hasScope(scope: string): boolean {
    return this.#accessToken.hasScope(scope)
  }
}
