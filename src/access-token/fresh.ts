/**
 * Introspects a verified token again, without any cache, to learn what the authorization server says of it *now* (RFC
 * 7662 §4).
 *
 * Does NOT decide when that is needed: a route decides, with `fresh()`.
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

/** The parts of the token's verifier that `verifyFresh` needs. */
export interface FreshMeans {
  /** Identity mark: every access token of this verifier holds it. */
  readonly verifier: object
  readonly answers: IntrospectionCache<VerifiedAccessToken>
  readonly impliedScopes: ReadonlyMap<string, readonly string[]>
  /** @throws {InvalidToken} an active token that breaks one of our rules */
  readonly requireGood: (answer: Active<VerifiedAccessToken>, issuer: Issuer, by: VerifiedBy) => void
  readonly create: (field: string, claims: Claims, issuer: Issuer, by: VerifiedBy) => VerifiedAccessToken
  /** The same token with these claims, scopes and roles. */
  readonly change: (accessToken: VerifiedAccessToken, changes: Changes) => VerifiedAccessToken
  /** Evicts a token from the cache. */
  readonly forget: (token: string) => void
}

/**
 * For an opaque token the answer replaces everything. For a JWT its claims stay, with only the scopes and roles that
 * the answer still has, and with the answer's `authorization_details`, `acr` and `auth_time` where it has them.
 *
 * @param accessToken a token that this verifier returned
 * @param request the caller's request: its deadline and its client apply
 * @returns the same object if nothing changed, otherwise a new one for the same token
 * @throws {InvalidToken} the token is no longer active, or the answer contradicts its confirmed `cnf`
 * @throws {Unavailable | Misconfigured} the answer cannot be obtained, or the issuer has no `introspection`
 */
export type VerifyFresh = (accessToken: VerifiedAccessToken, request: ResourceRequest) => Promise<VerifiedAccessToken>

export function createVerifyFresh(means: FreshMeans): VerifyFresh {
  const { verifier, answers, impliedScopes, requireGood, create, change, forget } = means

  /**
   * Keeps only those scopes that the answer still names. If the answer is silent about scopes, all stay. An empty
   * string means that no scope is left: reading it as silence would keep scopes that the server has withdrawn.
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
        `fresh() must introspect a token of ${issuer.settings.label}, but this issuer has no \`introspection\`: configure it`
      )
    const answer = await answers.ask(token, issuer, request)
    if (answer === undefined || by === 'introspection') forget(token)
    if (answer === undefined) throw new InvalidToken('inactive')
    requireGood(answer, issuer, by)
    const { cnf } = answer.members
    // The sender was confirmed against the known `cnf`; a different `cnf` was not checked.
    if (!isAbsent(cnf) && !isDeepStrictEqual(cnf, confirmation))
      throw new InvalidToken('claim', { expected: 'cnf: unchanged', received: cnf })
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

/** Claims that can change after a JWT was issued, and that a route's checks read. */
const CHANGEABLE = ['authorization_details', 'acr', 'auth_time']

/** A JWT's claims, replaced by the answer's values where the answer has them (RFC 9396 §9.2, RFC 9470 §6.2). */
export function withAnswer(claims: Claims, members: Claims): Claims {
  const changed = CHANGEABLE.filter((name) => !isAbsent(members[name])).map((name) => [name, members[name]])
  return changed.length === 0 ? claims : Object.freeze({ ...claims, ...Object.fromEntries(changed) })
}
