/**
 * An access token as text → {@link AccessToken}: which issuer it belongs to, whether to verify it here (RFC 9068) or
 * to ask (RFC 7662), and what is remembered of that. The only place that makes an AccessToken; no later code can tell
 * how it was verified.
 *
 * Does NOT confirm the sender or apply policy: both come after, on every request, past every cache.
 */
import { andThen, isPromise } from './awaitable.js'
import { type CacheStats, createTimedCache, createTokenCache, digestKey } from './cache.js'
import { deepFreeze, readAudience, readScopes, requireAccessTokenKind, verifyClaims } from './claims.js'
import { InvalidToken } from './errors.js'
import type { Http } from './http.js'
import { introspect } from './introspection.js'
import type { Issuer } from './issuer.js'
import type { IssuerSettings } from './issuer-settings.js'
import type { Issuers } from './issuers.js'
import { isJwe, readUnverifiedJwt, type UnverifiedJwt, verifyJwt } from './jwt.js'
import type { Settings } from './settings.js'
import { createVerifySignature } from './signature.js'
import { requireToken68 } from './token68.js'
import type { AccessToken, Awaitable, Claims, Confirmation } from './types.js'

/** Seconds a verified JWT is remembered at most. */
const REMEMBER_FOR = 300
const MAX_ACTIVE = 10_000
const MAX_INACTIVE = 1000
/** Seconds that "not active" is remembered. */
const INACTIVE_FOR = 10

export interface AccessTokenVerifier {
  /**
   * @throws {InvalidRequest | InvalidToken} the token is no good, for one of many reasons
   * @throws {Unavailable | Misconfigured} whether it is good cannot be known
   */
  verify(token: string): Awaitable<AccessToken>
  stats(): {
    readonly verified: CacheStats
    readonly active: CacheStats
    readonly inactive: CacheStats
    readonly introspecting: number
  }
}

/** The fact that a JWT was verified: by which keys, and for how long that may be believed. */
interface Verified {
  readonly accessToken: AccessToken
  readonly issuer: Issuer
  readonly keySetVersion: number
  readonly since: number
  readonly until: number
}

/** The fact that a server called a token active, and what it said of it; the token made of it, once its claims passed. */
interface Active {
  readonly members: Claims
  accessToken?: AccessToken
}

export function createAccessTokenVerifier(settings: Settings, issuers: Issuers, http: Http): AccessTokenVerifier {
  const { now, clockTolerance, impliedScopes } = settings
  const verifySignature = createVerifySignature()
  const verified = createTokenCache<Verified>()
  const active = createTimedCache<Active>(MAX_ACTIVE)
  const inactive = createTimedCache<true>(MAX_INACTIVE)
  const introspecting = new Map<string, Promise<Active | undefined>>()

  /** Time, and the issuer's keys: a key that left its set takes with it all that was verified by it. */
  const isCurrent = ({ since, until, issuer, keySetVersion }: Verified): boolean => {
    const time = now()
    if (!(since <= time && time < until)) return false
    // Past that time the set may want renewing, which is seen to here: it must not outlive itself under warm tokens.
    if (time >= issuer.keySetSettledUntil()) {
      const set = issuer.keySet()
      if (isPromise(set)) {
        // Verifying afresh asks again, and shares this attempt and its failure; here nobody waits for it.
        set.catch(() => undefined)
        return false
      }
    }
    return keySetVersion === issuer.keySetVersion()
  }

  const verifyHere = (token: string, jwt: UnverifiedJwt, issuer: Issuer): Awaitable<AccessToken> => {
    const since = now()
    // Read before the keys are: should a key leave meanwhile, what is remembered is outdated already.
    const keySetVersion = issuer.keySetVersion()
    const rules = {
      required: ['exp', ...issuer.settings.requiredClaims],
      allowMissingAudience: false,
      clockTolerance,
      now: since
    }
    return andThen(verifyJwt(jwt, issuer.settings, issuer.keySet, verifySignature, rules), (claims) => {
      const accessToken = createAccessToken(token, deepFreeze(claims), issuer.settings, impliedScopes)
      const until = Math.min(
        (accessToken.expiresAt as number) + clockTolerance,
        since + REMEMBER_FOR,
        issuers.trustedUntil(issuer)
      )
      verified.set(token, { accessToken, issuer, keySetVersion, since, until })
      return accessToken
    })
  }

  const ask = async (key: string, token: string, issuer: Issuer): Promise<Active | undefined> => {
    const members = await introspect(token, issuer, { http, deadline: settings.http.deadline })
    const time = now()
    if (members === undefined) {
      inactive.set(key, true, time, time + INACTIVE_FOR)
      return undefined
    }
    const answer: Active = { members }
    const cacheUntil = time + (issuer.settings.introspection?.cacheFor ?? 0)
    const until = typeof members['exp'] === 'number' ? Math.min(members['exp'], cacheUntil) : cacheUntil
    active.set(key, answer, time, until, 2 * (token.length + JSON.stringify(members).length))
    return answer
  }

  const verifyThere = (token: string, issuer: Issuer): Awaitable<AccessToken> => {
    const { introspection } = issuer.settings
    const key = digestKey(String(issuer.serial), token)
    const time = now()
    if (inactive.get(key, time)) throw new InvalidToken('inactive')
    let answer: Awaitable<Active | undefined> | undefined = active.get(key, time) ?? introspecting.get(key)
    if (answer === undefined) {
      const asked = ask(key, token, issuer).finally(() => introspecting.delete(key))
      introspecting.set(key, asked)
      answer = asked
    }
    return andThen(answer, (known) => {
      if (known === undefined) throw new InvalidToken('inactive')
      const rules = { required: [], allowMissingAudience: introspection?.allowMissingAudience ?? false, clockTolerance }
      requireAccessTokenKind(known.members)
      verifyClaims(known.members, issuer.settings, rules, now())
      known.accessToken ??= createAccessToken(token, known.members, issuer.settings, impliedScopes)
      return known.accessToken
    })
  }

  const verify = (token: string): Awaitable<AccessToken> => {
    const known = verified.get(token)
    if (known !== undefined && isCurrent(known)) return known.accessToken
    requireToken68(token)
    if (issuers.only) return verifyThere(token, issuers.only)
    const jwt = readUnverifiedJwt(token)
    if (jwt === undefined)
      return andThen(issuers.forOpaque(token), (issuer) => verifyThere(token, requireIntrospection(issuer, token)))
    const iss = jwt.unverifiedClaims()['iss']
    if (typeof iss !== 'string') throw new InvalidToken('claim', { expected: 'iss: a string', received: iss })
    return andThen(issuers.named(iss), (issuer) => {
      if (issuer === undefined) throw new InvalidToken('issuer', { received: iss })
      return issuer.settings.tokens === 'opaque' ? verifyThere(token, issuer) : verifyHere(token, jwt, issuer)
    })
  }

  return {
    verify,
    stats: () => ({
      verified: verified.stats(),
      active: active.stats(),
      inactive: inactive.stats(),
      introspecting: introspecting.size
    })
  }
}

/** An opaque token that nobody may be asked about is malformed, or (encrypted) nothing we can tell to be an access token. */
function requireIntrospection(issuer: Issuer | undefined, token: string): Issuer {
  if (issuer?.settings.introspection && issuer.settings.tokens !== 'jwt') return issuer
  throw new InvalidToken(isJwe(token) ? 'type' : 'malformed')
}

/** @param claims verified and frozen */
function createAccessToken(
  token: string,
  claims: Claims,
  issuer: IssuerSettings,
  impliedScopes: Settings['impliedScopes']
): AccessToken {
  const granted = readScopes(claims, issuer.scopeClaims)
  const scopes =
    impliedScopes.size === 0
      ? granted
      : [...new Set(granted.flatMap((one) => [one, ...(impliedScopes.get(one) ?? [])]))]
  return Object.freeze(new VerifiedAccessToken(token, claims, issuer, Object.freeze(scopes)))
}

class VerifiedAccessToken implements AccessToken {
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
    const { iss, sub, aud, iat, exp, cnf, auth_time: authTime } = claims
    const clientId = issuer.clientIdClaims.map((name) => claims[name]).find((value) => value !== undefined)
    this.#token = token
    this.#scopes = new Set(scopes)
    this.issuer = (iss as string | undefined) ?? issuer.issuer
    this.subject = sub as string | undefined
    this.clientId = clientId as string | undefined
    this.subjectType = sub !== undefined && sub === clientId && authTime === undefined ? 'client' : 'unknown'
    this.audience = Object.freeze([...readAudience(aud)])
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
