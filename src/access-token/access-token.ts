/**
 * An access token as text → {@link AccessToken}: which issuer it belongs to, whether to decrypt it, to verify it here
 * (RFC 9068) or to ask (RFC 7662), and what is remembered of that. The only place that makes an AccessToken; no later
 * code can tell how it was verified.
 *
 * Does NOT confirm the sender or apply policy: both come after, on every request, past every cache.
 */
import { andThen, isPromise } from '../base/awaitable.js'
import { type CacheStats, createMemo } from '../base/cache.js'
import { bytesOf, deepFreeze, freezeAll } from '../base/json.js'
import { fieldOf, requireToken68 } from '../credentials.js'
import { InvalidToken } from '../errors/errors.js'
import { createCallers } from '../http/callers.js'
import type { Http } from '../http/exchange.js'
import { type Active, createIntrospectionCache, type IntrospectionCache } from '../introspection/cache.js'
import type { Issuer } from '../issuer/issuer.js'
import type { Issuers } from '../issuer/issuers.js'
import { issuerHint, requireAccessTokenKind, requireClaimValues, requireTime, verifyClaims } from '../jwt/claims.js'
import { isJwe } from '../jwt/compact.js'
import { createDecrypt } from '../jwt/decryption.js'
import { readUnverifiedJwt, type UnverifiedJwt, verifyJwt } from '../jwt/verify-jwt.js'
import { createVerifySignature, type VerifySignature } from '../jwt/verify-signature.js'
import { createStatusLists, type StatusListStats } from '../revocation/status-list.js'
import type { Settings } from '../server/settings.js'
import type { Awaitable, Claims, Credentials, ResourceRequest } from '../types.js'
import { createVerifyFresh, type VerifyFresh } from './fresh.js'
import { readRoles, readScopes, withImplied } from './scopes.js'
import { createTokenCache } from './token-cache.js'
import { type TokenVerifierMark, VerifiedAccessToken, type VerifiedBy } from './verified-access-token.js'

/** Seconds a verified JWT is remembered at most. */
const REMEMBER_FOR = 300
/** Of headers, and of lists of scopes. */
const MAX_KNOWN = 1000
/** Characters of an opaque token that may be found by its end: of a shorter one, that is too much of it (RFC 9700 §4.9.3). */
const MIN_FOUND_LENGTH = 32
const NOT_FOR_US =
  'The token is encrypted (five parts), and not to a key of this API. Auth0 and others issue such tokens for themselves where the client asked for no audience: let the client ask for an audience (`audience`, or `resource` of RFC 8707). If the authorization server encrypts tokens for this API, configure `decryptionKeys`.'
const SCHEMES = ['Bearer', 'DPoP'] as const

export interface AccessTokenVerifier {
  /**
   * @param request that the credentials came in: it waits no longer than its deadline, and not after its client is gone
   * @throws {InvalidRequest | InvalidToken} the token is no good, for one of many reasons
   * @throws {Unavailable | Misconfigured} whether it is good cannot be known
   */
  verify(credentials: Credentials, request: ResourceRequest): Awaitable<VerifiedAccessToken>
  readonly verifyFresh: VerifyFresh
  /**
   * Looks a JWT up in the status list that it names, where its issuer has `statusList`. Synchronous while the list is known.
   *
   * @param accessToken one that this verifier returned
   * @throws {InvalidToken | Unavailable | Misconfigured} it is not valid any more, or nobody knows
   */
  requireStatus(accessToken: VerifiedAccessToken, request: ResourceRequest): Awaitable<void>
  stats(): ReturnType<IntrospectionCache['stats']> & {
    readonly verified: CacheStats
    readonly headers: CacheStats
    readonly scopes: CacheStats
    readonly statusLists: StatusListStats
  }
}

/** A JWT as it came: itself, or inside a JWE. */
interface Received {
  /** The field that brought it. */
  readonly field: string
  /** What the client sent. */
  readonly token: string
  readonly jwt: UnverifiedJwt
  readonly wrapping: 'none' | 'encrypted'
}

export function createAccessTokenVerifier(
  settings: Settings,
  issuers: Issuers,
  http: Http,
  verifySignature: VerifySignature = createVerifySignature()
): AccessTokenVerifier {
  const { resource, now, clockTolerance, impliedScopes } = settings
  const decrypt = createDecrypt(settings.decryptionKeys)
  const verified = createTokenCache<VerifiedAccessToken>()
  const callers = createCallers(settings.http.deadline)
  const answers = createIntrospectionCache({
    http,
    callers,
    deadline: settings.callbackTimeout,
    resource,
    now,
    clockTolerance,
    verifySignature,
    shared: settings.shared,
    // A separate queue, so a flood of encrypted tokens cannot block decryption of introspection answers.
    decrypt: createDecrypt(settings.decryptionKeys)
  })
  const statusLists = createStatusLists({ http, now, clockTolerance, verifySignature, shared: settings.shared })
  /** Headers and scopes of tokens that were verified: much the same in all of an issuer, and nobody else adds to them. */
  const headers = createMemo<Claims>(MAX_KNOWN, freezeAll)
  const scopeLists = createMemo<readonly string[]>(MAX_KNOWN, freezeAll)
  /** Identity mark: `verifyFresh` rejects a token that another verifier returned. */
  const verifier: TokenVerifierMark = Object.freeze({ clockTolerance })

  /** Time, and of a JWT the issuer's keys: a key that left its set takes with it all that was verified by it. */
  const isCurrent = ({ verifiedAt, goodUntil, by, issuedBy: issuer, keySetVersion }: VerifiedAccessToken): boolean => {
    const time = now()
    if (!(verifiedAt <= time && time < goodUntil)) return false
    if (by === 'introspection') return true
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

  const create = (
    field: string,
    claims: Claims,
    issuer: Issuer,
    by: VerifiedBy,
    scopes?: readonly string[],
    roles?: readonly string[]
  ): VerifiedAccessToken => {
    const granted = scopes ?? withImplied(readScopes(claims, issuer.settings.scopeClaims, scopeLists), impliedScopes)
    const held = roles ?? readRoles(claims, issuer.settings.rolesClaims)
    return new VerifiedAccessToken(verifier, field, claims, issuer, by, granted, held)
  }

  const keep = (accessToken: VerifiedAccessToken, since: number, until: number, bytes: number): void => {
    // Whole seconds, which V8 has in the object itself: a fraction would be another place in memory on every hit.
    accessToken.verifiedAt = Math.floor(since)
    accessToken.goodUntil = Math.floor(Math.min(until, issuers.trustedUntil(accessToken.issuedBy)))
    accessToken.bytes = bytes
    verified.set(accessToken, since)
  }

  /** Under whatever scheme it came. */
  const forget = (token: string): void => {
    for (const scheme of SCHEMES) verified.delete(fieldOf(scheme, token))
  }

  const verifyHere = (received: Received, issuer: Issuer): Awaitable<VerifiedAccessToken> => {
    const { jwt, wrapping } = received
    if (issuer.settings.requireEncrypted && wrapping === 'none') throw new InvalidToken('not_encrypted')
    const since = now()
    // Read before the keys are: should a key leave meanwhile, what is remembered is outdated already.
    const keySetVersion = issuer.keySetVersion()
    const rules = { required: issuer.settings.requiredClaims, allowMissingAudience: false, clockTolerance, now: since }
    const verifying = verifyJwt(jwt, issuer.settings, issuer.keySet, verifySignature, rules)
    return verifying === undefined
      ? remember(received, issuer, keySetVersion, since)
      : rememberLater(verifying, received, issuer, keySetVersion, since)
  }

  /** Here and not there: a function made for what is awaited would cost every token something that is not. */
  const rememberLater = (
    verifying: Promise<undefined>,
    received: Received,
    issuer: Issuer,
    keySetVersion: number,
    since: number
  ): Promise<VerifiedAccessToken> => verifying.then(() => remember(received, issuer, keySetVersion, since))

  const remember = (
    { field, jwt }: Received,
    issuer: Issuer,
    keySetVersion: number,
    since: number
  ): VerifiedAccessToken => {
    const claims = jwt.unverifiedClaims()
    const bytes = bytesOf(field, freezeAll(claims))
    const accessToken = create(field, claims, issuer, 'signature')
    accessToken.keySetVersion = keySetVersion
    const until = Math.min((accessToken.expiresAt as number) + clockTolerance, since + REMEMBER_FOR)
    keep(accessToken, since, until, bytes)
    if (!Object.isFrozen(jwt.unverifiedHeader)) headers.set(jwt.header, deepFreeze(jwt.unverifiedHeader))
    return accessToken
  }

  /** An active token must satisfy the rules all the same (RFC 7662 §4), at every use of the answer. */
  const requireGood = ({ members }: Active, { settings: rules }: Issuer, by: VerifiedBy): void => {
    // A JWT's own audience and claims were checked, and an answer about it may be shorter.
    const allowMissingAudience = by === 'signature' || (rules.introspection?.allowMissingAudience ?? false)
    requireAccessTokenKind(members)
    if (by === 'introspection') requireClaimValues(members, rules.requiredClaimValues)
    verifyClaims(members, rules, { required: [], allowMissingAudience, clockTolerance }, now())
  }

  const verifyThere = (
    field: string,
    token: string,
    issuer: Issuer,
    request: ResourceRequest
  ): Awaitable<VerifiedAccessToken> =>
    andThen(answers.recall(token, issuer, request), (answer) => believe(field, token, answer, issuer))

  const believe = (field: string, token: string, known: Active | undefined, issuer: Issuer): VerifiedAccessToken => {
    if (known === undefined) throw new InvalidToken('inactive')
    const { accessToken } = known
    if (accessToken === undefined) {
      requireGood(known, issuer, 'introspection')
      known.accessToken = create(field, known.members, issuer, 'introspection')
      return known.accessToken
    }
    // Of what was found good once, nothing but the time is another now.
    const time = now()
    requireTime(known.members, time, clockTolerance)
    // In use: from now on it is found without a digest.
    if (token.length >= MIN_FOUND_LENGTH) keep(accessToken, time, known.until, known.bytes)
    return accessToken
  }

  const verifyJwtOf = (received: Received, request: ResourceRequest): Awaitable<VerifiedAccessToken> => {
    const iss = received.jwt.unverifiedClaims()['iss']
    if (typeof iss !== 'string') throw new InvalidToken('claim', { expected: 'iss: a string', received: iss })
    const issuer = issuers.named(iss)
    return isPromise(issuer)
      ? verifyLater(received, callers.inTime(issuer, request, 'issuer'), request)
      : verifyBy(received, issuer, request)
  }

  const verifyLater = async (
    received: Received,
    issuer: Awaitable<Issuer | undefined>,
    request: ResourceRequest
  ): Promise<VerifiedAccessToken> => verifyBy(received, await issuer, request)

  const verifyBy = (
    received: Received,
    issuer: Issuer | undefined,
    request: ResourceRequest
  ): Awaitable<VerifiedAccessToken> => {
    if (issuer === undefined) {
      const { iss } = received.jwt.unverifiedClaims()
      throw new InvalidToken('issuer', { expected: issuers.names, received: iss, ...issuerHint(iss) })
    }
    if (issuer.settings.tokens === 'opaque') return verifyThere(received.field, received.token, issuer, request)
    // With keys at hand nothing is waited for but a turn to check the signature, which needs no deadline.
    return now() < issuer.keySetSettledUntil()
      ? verifyHere(received, issuer)
      : callers.inTime(verifyHere(received, issuer), request, 'jwks')
  }

  /** What is encrypted to us is nobody else's to judge: from here on there is no way to introspection but by `iss`. */
  const verifyEncrypted = async (
    field: string,
    token: string,
    request: ResourceRequest
  ): Promise<VerifiedAccessToken> => {
    const jwt = readUnverifiedJwt(await decrypt(token), headers)
    // Encrypted alone, claims are anybody's who has our public key (RFC 8725 §3.3).
    if (jwt === undefined) throw new InvalidToken('type', { expected: 'a signed JWT inside the encrypted one' })
    const accessToken = await verifyJwtOf({ field, token, jwt, wrapping: 'encrypted' }, request)
    decrypt.confirm(token)
    return accessToken
  }

  const verify = (credentials: Credentials, request: ResourceRequest): Awaitable<VerifiedAccessToken> => {
    const { field } = credentials
    const known = verified.get(field)
    return known !== undefined && isCurrent(known) ? known : verifyUnknown(field, credentials.token, request)
  }

  const verifyUnknown = (field: string, token: string, request: ResourceRequest): Awaitable<VerifiedAccessToken> => {
    // What is built like a JWT has no character that a token may not have.
    const jwt = issuers.only ? undefined : readUnverifiedJwt(token, headers)
    if (jwt !== undefined) return verifyJwtOf({ field, token, jwt, wrapping: 'none' }, request)
    requireToken68(token)
    if (issuers.only) return verifyThere(field, token, issuers.only, request)
    if (settings.decryptionKeys.length > 0 && decrypt.isForUs(token)) return verifyEncrypted(field, token, request)
    return verifyOpaque(field, token, request)
  }

  const verifyOpaque = (field: string, token: string, request: ResourceRequest): Awaitable<VerifiedAccessToken> =>
    andThen(callers.inTime(issuers.forOpaque(token), request, 'issuer'), (issuer) => {
      if (issuer?.settings.introspection && issuer.settings.tokens !== 'jwt')
        return verifyThere(field, token, issuer, request)
      // Nobody can be asked about it.
      if (!isJwe(token)) throw new InvalidToken('malformed')
      throw new InvalidToken(settings.decryptionKeys.length > 0 ? 'decryption' : 'type', { hint: NOT_FOR_US })
    })

  return {
    verify,
    verifyFresh: createVerifyFresh({ verifier, answers, create, requireGood, impliedScopes, forget }),
    requireStatus: (accessToken, request) => {
      const { claims, hasStatus, issuedBy, by } = accessToken
      // Of an opaque token its issuer was asked, and said itself that it is active.
      if (!hasStatus || by !== 'signature' || issuedBy.settings.statusList === undefined) return undefined
      return callers.inTime(statusLists.require(claims['status'], issuedBy), request, 'status_list')
    },
    stats: () => ({
      verified: verified.stats(),
      headers: headers.stats(),
      scopes: scopeLists.stats(),
      ...answers.stats(),
      statusLists: statusLists.stats()
    })
  }
}
