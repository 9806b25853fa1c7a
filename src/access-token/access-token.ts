/**
 * Turns the text of an access token into an {@link AccessToken}: finds its issuer, decrypts it if necessary, verifies
 * it locally (RFC 9068) or introspects it (RFC 7662), and caches the result. Only this file makes an AccessToken; no
 * later code needs to know how it was verified.
 *
 * Does NOT confirm the sender or apply policy: both happen later, on every request, and are never cached.
 */
import { fieldOf } from '../base/authorization-field.js'
import { andThen, isPromise } from '../base/awaitable.js'
import { type CacheStats, createMemo, type Memo } from '../base/cache.js'
import { bytesOf, deepFreeze, freezeAll } from '../base/json.js'
import { InvalidToken } from '../errors/errors.js'
import type { Callers } from '../http/callers.js'
import type { Http } from '../http/exchange.js'
import { type Active, createIntrospectionCache, type IntrospectionCache } from '../introspection/cache.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Issuers } from '../issuer/issuers.js'
import { issuerHint, requireAccessTokenKind, requireClaimValues, requireTime, verifyClaims } from '../jwt/claims.js'
import { isJwe } from '../jwt/compact.js'
import { createDecrypt, type Decrypt } from '../jwt/decryption.js'
import type { DecryptionKeySettings } from '../jwt/decryption-keys.js'
import { readUnverifiedClaims, readUnverifiedJwt, type UnverifiedJwt, verifyJwt } from '../jwt/verify-jwt.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import type { Shared } from '../sharing/shared.js'
import type { Awaitable, Claims, Credentials, ResourceRequest } from '../types.js'
import { type Changes, createVerifyFresh, type VerifyFresh } from './fresh.js'
import { readRoles, readScopes, withImplied } from './scopes.js'
import { createTokenCache, type TokenCache } from './token-cache.js'
import { requireToken68 } from './token68.js'
import { type TokenVerifierMark, VerifiedAccessToken, type VerifiedBy } from './verified-access-token.js'

/** Maximum seconds a verified JWT stays in the cache. */
const REMEMBER_FOR = 300
/** Maximum cached headers, and maximum cached lists of scopes. */
const MAX_KNOWN = 1000
/**
 * Minimum characters of an opaque token in the token cache: the cache hashes the end of the token, which is too large a
 * part of a shorter one (RFC 9700 §4.9.3).
 */
const MIN_FOUND_LENGTH = 32
const NOT_FOR_US =
  'The token is encrypted (five parts), but not to a key of this API. Auth0 and others issue such tokens for themselves if the client requests no audience: let the client request an audience (`audience`, or `resource` of RFC 8707). If the authorization server encrypts tokens for this API, configure `decryptionKeys`.'
const SCHEMES = ['Bearer', 'DPoP'] as const

export interface AccessTokenVerifier {
  /**
   * @param request the request that carried the credentials: verification stops waiting at its deadline and when its
   * client leaves
   * @throws {InvalidRequest | InvalidToken} the token is refused
   * @throws {Unavailable | Misconfigured} the token can be neither accepted nor refused
   */
  verify(credentials: Credentials, request: ResourceRequest): Awaitable<VerifiedAccessToken>
  readonly verifyFresh: VerifyFresh
  stats(): ReturnType<IntrospectionCache<VerifiedAccessToken>['stats']> & {
    readonly verified: CacheStats
    readonly headers: CacheStats
    readonly scopes: CacheStats
  }
}

/** A JWT as received: plain, or decrypted from a JWE. */
interface Received {
  /** The normalized `Authorization` field: scheme and token. */
  readonly field: string
  /** The token as sent: the JWE if the JWT came encrypted. */
  readonly token: string
  readonly jwt: UnverifiedJwt
  readonly wrapping: 'none' | 'encrypted'
}

/** Dependencies and settings of a verifier. */
export interface AccessTokenMeans {
  readonly resource: string
  /** Seconds since the epoch. */
  readonly now: () => number
  /** Seconds by which `exp` and `nbf` may be missed. */
  readonly clockTolerance: number
  readonly impliedScopes: ReadonlyMap<string, readonly string[]>
  readonly decryptionKeys: readonly DecryptionKeySettings[]
  /** Maximum seconds that a user's function may take. */
  readonly callbackTimeout: number
  readonly shared: Shared | undefined
  readonly issuers: Issuers
  readonly http: Http
  readonly callers: Callers
  readonly verifySignature: VerifySignature
}

/** Creates a verifier with its own cache of verified tokens. */
export function createAccessTokenVerifier(means: AccessTokenMeans): AccessTokenVerifier {
  return new Verifier(means)
}

class Verifier implements AccessTokenVerifier {
  readonly verifyFresh: VerifyFresh
  private readonly means: AccessTokenMeans
  /** Copy of `means.now`, because every request with a cached token reads it. */
  private readonly now: () => number
  private readonly verified: TokenCache<VerifiedAccessToken> = createTokenCache()
  /**
   * Headers and scope lists of verified tokens. Tokens of one issuer repeat them, and only verified tokens add to them.
   */
  private readonly headers: Memo<Claims> = createMemo<Claims>(MAX_KNOWN, freezeAll)
  private readonly scopeLists: Memo<readonly string[]> = createMemo<readonly string[]>(MAX_KNOWN, freezeAll)
  private readonly answers: IntrospectionCache<VerifiedAccessToken>
  private readonly decrypt: Decrypt
  /** Identity mark: `verifyFresh` rejects a token that another verifier returned. */
  private readonly mark: TokenVerifierMark

  constructor(means: AccessTokenMeans) {
    this.means = means
    this.now = means.now
    this.mark = Object.freeze({ clockTolerance: means.clockTolerance })
    this.decrypt = createDecrypt(means.decryptionKeys)
    this.answers = createIntrospectionCache({
      http: means.http,
      callers: means.callers,
      deadline: means.callbackTimeout,
      resource: means.resource,
      now: means.now,
      clockTolerance: means.clockTolerance,
      verifySignature: means.verifySignature,
      shared: means.shared,
      // A separate queue, so a flood of encrypted tokens cannot block decryption of introspection answers.
      decrypt: createDecrypt(means.decryptionKeys)
    })
    this.verifyFresh = createVerifyFresh({
      verifier: this.mark,
      answers: this.answers,
      create: (...parts) => this.create(...parts),
      change: (accessToken, changes) => this.change(accessToken, changes),
      requireGood: (answer, issuer, by) => this.requireGood(answer, issuer, by),
      impliedScopes: means.impliedScopes,
      forget: (token) => this.forget(token)
    })
  }

  verify(credentials: Credentials, request: ResourceRequest): Awaitable<VerifiedAccessToken> {
    const { field } = credentials
    const known = this.verified.get(field)
    return known !== undefined && this.isCurrent(known) ? known : this.verifyUnknown(field, credentials.token, request)
  }

  stats(): ReturnType<AccessTokenVerifier['stats']> {
    return {
      verified: this.verified.stats(),
      headers: this.headers.stats(),
      scopes: this.scopeLists.stats(),
      ...this.answers.stats()
    }
  }

  /**
   * Checks the time, and for a JWT the issuer's key set: a key that leaves the set invalidates all tokens that it
   * verified.
   */
  private isCurrent({ verifiedAt, goodUntil, by, issuedBy: issuer, keySetVersion }: VerifiedAccessToken): boolean {
    const time = this.now()
    if (!(verifiedAt <= time && time < goodUntil)) return false
    if (by === 'introspection') return true
    // After that time the set may be due for renewal. Cached tokens start the renewal too, so the set cannot outlive
    // its limit.
    if (time >= issuer.keySetSettledUntil()) {
      const set = issuer.keySet()
      if (isPromise(set)) {
        // `verifyUnknown` asks again and shares this attempt, so its failure is handled there.
        set.catch(() => undefined)
        return false
      }
    }
    return keySetVersion === issuer.keySetVersion()
  }

  private verifyUnknown(field: string, token: string, request: ResourceRequest): Awaitable<VerifiedAccessToken> {
    const { issuers, decryptionKeys } = this.means
    // Text that parses as a JWT has only characters that token68 allows.
    const jwt = issuers.only ? undefined : readUnverifiedJwt(token, this.headers)
    if (jwt !== undefined) return this.verifyJwt({ field, token, jwt, wrapping: 'none' }, request)
    requireToken68(token)
    if (issuers.only) return this.introspect(field, token, issuers.only, request)
    if (decryptionKeys.length > 0 && this.decrypt.isForUs(token)) return this.verifyEncrypted(field, token, request)
    return this.verifyOpaque(field, token, request)
  }

  /**
   * Verifies a token encrypted to us. Only its `iss` can lead to introspection: a token encrypted to us is not sent to
   * any other server.
   */
  private async verifyEncrypted(field: string, token: string, request: ResourceRequest): Promise<VerifiedAccessToken> {
    const jwt = readUnverifiedJwt(await this.decrypt(token), this.headers)
    // Encryption proves nothing about the sender: anyone with our public key can encrypt claims (RFC 8725 §3.3).
    if (jwt === undefined) throw new InvalidToken('type', { expected: 'a signed JWT inside the encrypted one' })
    const accessToken = await this.verifyJwt({ field, token, jwt, wrapping: 'encrypted' }, request)
    this.decrypt.confirm(token)
    return accessToken
  }

  private verifyOpaque(field: string, token: string, request: ResourceRequest): Awaitable<VerifiedAccessToken> {
    const { issuers, callers, decryptionKeys } = this.means
    return andThen(callers.inTime(issuers.forOpaque(token), request, 'issuer'), (issuer) => {
      if (issuer?.settings.introspection && issuer.settings.tokens !== 'jwt')
        return this.introspect(field, token, issuer, request)
      // No issuer can introspect the token.
      if (!isJwe(token)) throw new InvalidToken('malformed')
      throw new InvalidToken(decryptionKeys.length > 0 ? 'decryption' : 'type', { hint: NOT_FOR_US })
    })
  }

  private verifyJwt(received: Received, request: ResourceRequest): Awaitable<VerifiedAccessToken> {
    const { issuers, callers } = this.means
    const iss = readUnverifiedClaims(received.jwt)['iss']
    if (typeof iss !== 'string') throw new InvalidToken('claim', { expected: 'iss: a string', received: iss })
    const issuer = issuers.named(iss)
    return isPromise(issuer)
      ? this.verifyLater(received, callers.inTime(issuer, request, 'issuer'), request)
      : this.verifyBy(received, issuer, request)
  }

  private async verifyLater(
    received: Received,
    issuer: Awaitable<Issuer | undefined>,
    request: ResourceRequest
  ): Promise<VerifiedAccessToken> {
    return this.verifyBy(received, await issuer, request)
  }

  private verifyBy(
    received: Received,
    issuer: Issuer | undefined,
    request: ResourceRequest
  ): Awaitable<VerifiedAccessToken> {
    const { issuers, callers, now } = this.means
    if (issuer === undefined) {
      const { iss } = readUnverifiedClaims(received.jwt)
      throw new InvalidToken('issuer', { expected: issuers.names, received: iss, ...issuerHint(iss) })
    }
    if (issuer.settings.tokens === 'opaque') return this.introspect(received.field, received.token, issuer, request)
    // With fresh keys the only wait is a turn to check the signature, which needs no deadline.
    const time = now()
    return time < issuer.keySetSettledUntil()
      ? this.verifyHere(received, issuer, time)
      : callers.inTime(this.verifyHere(received, issuer, time), request, 'jwks')
  }

  private verifyHere(received: Received, issuer: Issuer, since: number): Awaitable<VerifiedAccessToken> {
    const { clockTolerance, verifySignature } = this.means
    const { jwt, wrapping } = received
    if (issuer.settings.requireEncrypted && wrapping === 'none') throw new InvalidToken('not_encrypted')
    // Read before the keys are: if a key leaves meanwhile, the cached result is already outdated.
    const keySetVersion = issuer.keySetVersion()
    const verifying = verifyJwt(jwt, issuer.settings, {
      required: issuer.settings.requiredClaims,
      allowMissingAudience: false,
      clockTolerance,
      now: since,
      keySet: issuer.keySet,
      verifySignature
    })
    return verifying === undefined
      ? this.remember(received, issuer, keySetVersion, since)
      : verifying.then(this.remembering(received, issuer, keySetVersion, since))
  }

  /** A separate method: a closure in `verifyHere` would also allocate for tokens that await nothing. */
  private remembering(
    received: Received,
    issuer: Issuer,
    keySetVersion: number,
    since: number
  ): () => VerifiedAccessToken {
    return () => this.remember(received, issuer, keySetVersion, since)
  }

  private remember(
    { field, jwt }: Received,
    issuer: Issuer,
    keySetVersion: number,
    since: number
  ): VerifiedAccessToken {
    const claims = readUnverifiedClaims(jwt)
    const bytes = bytesOf(field, freezeAll(claims, jwt.mayBeWide))
    const accessToken = this.create(field, claims, issuer, 'signature')
    accessToken.keySetVersion = keySetVersion
    const until = Math.min((accessToken.expiresAt as number) + this.means.clockTolerance, since + REMEMBER_FOR)
    this.keep(accessToken, since, until, bytes)
    if (!Object.isFrozen(jwt.unverifiedHeader)) this.headers.set(jwt.header, deepFreeze(jwt.unverifiedHeader))
    return accessToken
  }

  private introspect(
    field: string,
    token: string,
    issuer: Issuer,
    request: ResourceRequest
  ): Awaitable<VerifiedAccessToken> {
    return andThen(this.answers.recall(token, issuer, request), (answer) => this.believe(field, token, answer, issuer))
  }

  private believe(
    field: string,
    token: string,
    known: Active<VerifiedAccessToken> | undefined,
    issuer: Issuer
  ): VerifiedAccessToken {
    if (known === undefined) throw new InvalidToken('inactive')
    const { accessToken } = known
    if (accessToken === undefined) {
      this.requireGood(known, issuer, 'introspection')
      known.accessToken = this.create(field, known.members, issuer, 'introspection')
      return known.accessToken
    }
    // The answer was validated when it was cached; only the times need checking again.
    const time = this.means.now()
    requireTime(known.members, time, this.means.clockTolerance)
    // The token was used twice: from now on the token cache finds it without computing a digest.
    if (token.length >= MIN_FOUND_LENGTH) this.keep(accessToken, time, known.until, known.bytes)
    return accessToken
  }

  /** An active token must still satisfy our rules (RFC 7662 §4), at every use of the answer. */
  private requireGood({ members }: Active<VerifiedAccessToken>, { settings: rules }: Issuer, by: VerifiedBy): void {
    const { now, clockTolerance } = this.means
    // A JWT's own audience and claims were checked; the answer about it may have fewer members.
    const allowMissingAudience = by === 'signature' || (rules.introspection?.allowMissingAudience ?? false)
    requireAccessTokenKind(members)
    if (by === 'introspection') requireClaimValues(members, rules.requiredClaimValues)
    verifyClaims(members, rules, { required: [], allowMissingAudience, clockTolerance }, now())
  }

  private create(field: string, claims: Claims, issuedBy: Issuer, by: VerifiedBy): VerifiedAccessToken {
    const { scopeClaims, rolesClaims } = issuedBy.settings
    return new VerifiedAccessToken({
      verifier: this.mark,
      field,
      claims,
      issuedBy,
      by,
      scopes: withImplied(readScopes(claims, scopeClaims, this.scopeLists), this.means.impliedScopes),
      roles: readRoles(claims, rolesClaims)
    })
  }

  private change({ field, issuedBy, by }: VerifiedAccessToken, changes: Changes): VerifiedAccessToken {
    return new VerifiedAccessToken({ verifier: this.mark, field, issuedBy, by, ...changes })
  }

  private keep(accessToken: VerifiedAccessToken, since: number, until: number, bytes: number): void {
    // Whole seconds: V8 stores small integers in the object itself, and a fraction elsewhere, which every hit would
    // have to load.
    accessToken.verifiedAt = Math.floor(since)
    accessToken.goodUntil = Math.floor(Math.min(until, this.means.issuers.trustedUntil(accessToken.issuedBy)))
    accessToken.bytes = bytes
    this.verified.set(accessToken, since)
  }

  /** Removes the token from the cache under every scheme. */
  private forget(token: string): void {
    for (const scheme of SCHEMES) this.verified.delete(fieldOf(scheme, token))
  }
}
