/**
 * Past every cache: what the authorization server says of a token *now* (RFC 7662 §4), about one that was verified before.
 *
 * Does NOT decide when that is needed: a route says so, with `fresh()`.
 */
import { isDeepStrictEqual } from 'node:util'
import { InvalidToken, Misconfigured } from '../errors/errors.js'
import type { Active, IntrospectionCache } from '../introspection/cache.js'
import type { Issuer } from '../issuer/issuer.js'
import { isAbsent, isSilentAt } from '../jwt/claim-places.js'
import type { Claims, ResourceRequest } from '../types.js'
import { readRoles, readScopes, withImplied } from './scopes.js'
import type { VerifiedAccessToken, VerifiedBy } from './verified-access-token.js'

/** The parts of an access token that an answer may change. Deeply frozen. */
export interface Changes {
  readonly claims: Claims
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
}

/** What it needs of the verifier that the token is from. */
export interface FreshMeans {
  /** What every access token of it holds. */
  readonly verifier: object
  readonly answers: IntrospectionCache<VerifiedAccessToken>
  readonly impliedScopes: ReadonlyMap<string, readonly string[]>
  /** @throws {InvalidToken} an active token that breaks a rule all the same */
  readonly requireGood: (answer: Active<VerifiedAccessToken>, issuer: Issuer, by: VerifiedBy) => void
  readonly create: (field: string, claims: Claims, issuer: Issuer, by: VerifiedBy) => VerifiedAccessToken
  /** The same token with these claims, scopes and roles. */
  readonly change: (accessToken: VerifiedAccessToken, changes: Changes) => VerifiedAccessToken
  /** What was remembered of a token counts no longer. */
  readonly forget: (token: string) => void
}

/**
 * Of an opaque token the answer is all there is; of a JWT its claims stand, with no more scopes and roles than the answer still
 * has, and with the answer's `authorization_details`, `acr` and `auth_time` where it has them.
 *
 * @param accessToken one of this verifier's
 * @param request of the caller, whose deadline and client count
 * @returns the same one where nothing changed, or another one of the same token
 * @throws {InvalidToken} it is not active any more, which is remembered of an opaque token; or the answer contradicts what was confirmed
 * @throws {Unavailable | Misconfigured} nothing can be known, or the issuer has no `introspection`
 */
export type VerifyFresh = (accessToken: VerifiedAccessToken, request: ResourceRequest) => Promise<VerifiedAccessToken>

export function createVerifyFresh(means: FreshMeans): VerifyFresh {
  const { verifier, answers, impliedScopes, requireGood, create, change, forget } = means

  /**
   * Where the answer names scopes: those of the token that it still has, and no others. An empty text here means that none is
   * left, not that the answer says nothing: the other reading would keep what the server has taken away.
   */
  const stillGranted = (
    scopes: readonly string[],
    { members }: Active<VerifiedAccessToken>,
    { settings: { scopeClaims } }: Issuer
  ): readonly string[] => {
    if (isSilentAt(members, scopeClaims)) return scopes
    const granted = new Set(withImplied(readScopes(members, scopeClaims), impliedScopes))
    return Object.freeze(scopes.filter((one) => granted.has(one)))
  }

  /** Roles narrow as scopes do. */
  const stillHeld = (
    roles: readonly string[],
    { members }: Active<VerifiedAccessToken>,
    { settings: { rolesClaims } }: Issuer
  ): readonly string[] => {
    if (rolesClaims === undefined || isSilentAt(members, rolesClaims)) return roles
    const held = new Set(readRoles(members, rolesClaims))
    return Object.freeze(roles.filter((one) => held.has(one)))
  }

  return async (accessToken, request) => {
    const { token, field, confirmation, scopes, roles, issuedBy: issuer, by } = accessToken
    if (accessToken.verifier !== verifier)
      throw new TypeError('verifyFresh() needs an access token that this resource server verified')
    if (issuer.settings.introspection === undefined)
      throw new Misconfigured(
        `fresh() needs to introspect a token of ${issuer.settings.label}, which has no \`introspection\`: configure it for this issuer`
      )
    const answer = await answers.ask(token, issuer, request)
    if (answer === undefined || by === 'introspection') forget(token)
    if (answer === undefined) throw new InvalidToken('inactive')
    requireGood(answer, issuer, by)
    const { cnf } = answer.members
    // The sender was confirmed by the one that was known: another one was not.
    if (!isAbsent(cnf) && !isDeepStrictEqual(cnf, confirmation))
      throw new InvalidToken('claim', { expected: 'cnf: as it was', received: cnf })
    if (by === 'introspection') {
      answer.accessToken = create(field, answer.members, issuer, by)
      return answer.accessToken
    }
    const left = stillGranted(scopes, answer, issuer)
    const held = stillHeld(roles, answer, issuer)
    const claims = withAnswer(accessToken.claims, answer.members)
    const isSame = left.length === scopes.length && held.length === roles.length && claims === accessToken.claims
    return isSame ? accessToken : change(accessToken, { claims, scopes: left, roles: held })
  }
}

/** What may have changed since a JWT was issued, and what checks of a route read. */
const CHANGEABLE = ['authorization_details', 'acr', 'auth_time']

/** A JWT's claims, with what the authorization server says otherwise now (RFC 9396 §9.2, RFC 9470 §6.2). */
export function withAnswer(claims: Claims, members: Claims): Claims {
  const changed = CHANGEABLE.filter((name) => !isAbsent(members[name])).map((name) => [name, members[name]])
  return changed.length === 0 ? claims : Object.freeze({ ...claims, ...Object.fromEntries(changed) })
}
