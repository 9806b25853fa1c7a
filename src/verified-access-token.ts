/** A verified access token as a value. Only `access-token.ts` makes one, once everything about the token was checked. */
import { readAudience } from './claims.js'
import type { IssuerSettings } from './issuer-settings.js'
import type { AccessToken, Claims, Confirmation } from './types.js'

export class VerifiedAccessToken implements AccessToken {
  // Private, so that nothing that prints, copies or serializes the object prints the token.
  readonly #token: string
  readonly #scopes: ReadonlySet<string>
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

  constructor(token: string, claims: Claims, issuer: IssuerSettings, scopes: readonly string[]) {
    const { iss, sub, iat, exp, cnf, auth_time: authTime } = claims
    const clientId = issuer.clientIdClaims.map((name) => claims[name]).find((value) => value !== undefined)
    this.#token = token
    this.#scopes = new Set(scopes)
    this.issuer = (iss as string | undefined) ?? issuer.issuer
    this.subject = sub as string | undefined
    this.clientId = clientId as string | undefined
    this.subjectType = sub !== undefined && sub === clientId && authTime === undefined ? 'client' : 'unknown'
    this.audience = Object.freeze([...readAudience(claims[issuer.audienceClaim])])
    this.scopes = scopes
    this.issuedAt = iat as number | undefined
    this.expiresAt = exp as number | undefined
    this.confirmation = cnf as Confirmation | undefined
    this.claims = claims
  }

  get token(): string {
    return this.#token
  }

  hasScope(scope: string): boolean {
    return this.#scopes.has(scope)
  }
}
