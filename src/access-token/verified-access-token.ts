/**
 * A verified access token as a value. Only `access-token.ts` makes one, after checking everything about the token. It
 * stays inside the package; handlers get an {@link Access}.
 *
 * Tests: `test/access-token/access-token.test.ts`.
 */
import { hash } from 'node:crypto'
import { digestKey } from '../base/cache.js'
import type { Issuer } from '../issuer/issuer.js'
import { isAbsent, present } from '../jwt/claim-places.js'
import { readAudience, readFirst } from '../jwt/claims.js'
import type { Access, AccessToken, Claims, Confirmation } from '../types.js'

/** How the token was verified. */
export type VerifiedBy = 'signature' | 'introspection'

/** Characters of an owner digest: 132 bits, so that no client can create a token that takes another owner's share. */
const OWNER_LENGTH = 22

/** Identifies the verifier that returned a token, and says how it reads times. */
export interface TokenVerifierMark {
  /** Seconds by which `exp` may be missed. */
  readonly clockTolerance: number
}

/** The facts that an access token is made of. `claims`, `scopes` and `roles` are deeply frozen. */
interface Facts {
  readonly verifier: TokenVerifierMark
  readonly field: string
  readonly claims: Claims
  readonly issuedBy: Issuer
  readonly by: VerifiedBy
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
}

/** Maximum scopes that are searched linearly; more are put into a set. */
const FEW = 8

export class VerifiedAccessToken implements AccessToken {
  // Fields that every request reads come first, so that they lie together in memory. Private, so that printing, copying
  // or serializing the object never shows the token.
  readonly #field: string
  /** When the token was verified, and until when that counts: whole seconds, which V8 stores in the object itself. */
  verifiedAt: number = 0
  goodUntil: number = 0
  /** Version of the issuer's key set that verified the token. */
  keySetVersion: number = 0
  /**
   * The one access that all requests with the token share, once one was confirmed. Only for a token that is bound to no
   * key, or to a DPoP key while no nonce was due. Its presence confirms no sender. Kept here because a `WeakMap` costs
   * more than the rest of a hit.
   */
  access: Access | undefined = undefined
  readonly by: VerifiedBy
  readonly issuedBy: Issuer
  readonly confirmation: Confirmation | undefined
  /** Whether the token has a `status` claim. */
  readonly hasStatus: boolean
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** Approximate bytes of memory that the token holds. */
  bytes: number = 0
  readonly verifier: TokenVerifierMark
  readonly issuer: string
  readonly subject: string | undefined
  readonly subjectType: 'client' | 'unknown'
  readonly clientId: string | undefined
  readonly audience: readonly string[]
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
  readonly claims: Claims
  #hash: string | undefined
  #owner: string | undefined
  #scopeSet: ReadonlySet<string> | undefined

  constructor({ verifier, field, claims, issuedBy, by, scopes, roles }: Facts) {
    const { settings } = issuedBy
    const { iss, iat, exp, cnf, auth_time: authTime } = claims
    const sub = present(claims['sub'])
    const clientId = readFirst(claims, settings.clientIdClaims)
    this.#field = field
    this.by = by
    this.issuedBy = issuedBy
    this.confirmation = present(cnf) as Confirmation | undefined
    this.hasStatus = claims['status'] !== undefined
    this.scopes = scopes
    this.roles = roles
    this.verifier = verifier
    this.issuer = (present(iss) as string | undefined) ?? settings.issuer
    this.subject = sub as string | undefined
    this.clientId = clientId as string | undefined
    this.subjectType = sub !== undefined && sub === clientId && isAbsent(authTime) ? 'client' : 'unknown'
    this.audience = Object.freeze(readAudience(claims[settings.audienceClaim]))
    this.issuedAt = present(iat) as number | undefined
    this.expiresAt = present(exp) as number | undefined
    this.claims = claims
  }

  /** The normalized credentials that carried the token; also its key in the token cache. */
  get field(): string {
    return this.#field
  }

  get token(): string {
    return this.#field.slice(this.#field.indexOf(' ') + 1)
  }

  /** SHA-256 of the token in base64url: the `ath` of a DPoP proof (RFC 9449 §4.2). */
  get hash(): string {
    this.#hash ??= hash('sha256', this.token, 'base64url')
    return this.#hash
  }

  /**
   * The owner whose share of a bounded store the token's requests use: a digest of the issuer and the `sub`, else the
   * `client_id`, else the key that the token is bound to. A client can create keys and client ids at will, but not
   * users.
   */
  get owner(): string {
    this.#owner ??= digestKey(this.issuer, ...this.#whose()).slice(0, OWNER_LENGTH)
    return this.#owner
  }

  #whose(): readonly [string, string] {
    if (this.subject) return ['sub', this.subject]
    if (this.clientId) return ['client_id', this.clientId]
    return ['jkt', String(this.confirmation?.['jkt'])]
  }

  hasScope(scope: string): boolean {
    if (this.scopes.length <= FEW) return this.scopes.includes(scope)
    this.#scopeSet ??= new Set(this.scopes)
    return this.#scopeSet.has(scope)
  }
}
