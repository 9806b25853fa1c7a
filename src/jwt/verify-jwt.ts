/**
 * Verifies a JWT access token: its structure, header, claims and signature (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725, RFC
 * 9068 §4). Compact serialization only. Cheap checks come first; keys are not fetched for a token that fails them.
 *
 * Does NOT fall back to introspection: a JWT that fails here is refused.
 */
import { isPromise } from '../base/awaitable.js'
import { isKid, MAX_KID_LENGTH } from '../base/bounds.js'
import type { Memo } from '../base/cache.js'
import { MAX_DEPTH } from '../base/json.js'
import { InvalidToken } from '../errors/errors.js'
import type { Awaitable, Claims } from '../types.js'
import type { SignatureAlgorithm, SignatureKey } from './algorithms.js'
import { isAbsent } from './claim-places.js'
import {
  type ClaimRules,
  type IssuerRules,
  requireAccessTokenClaims,
  requireClaimValues,
  verifyClaims
} from './claims.js'
import { isCanonical, isMediaType, splitJws, type UnverifiedJws } from './compact.js'
import type { CertificateThumbprints, KeySet } from './key-set.js'
import type { Missing } from './looks.js'
import type { VerifySignature } from './verify-signature.js'

/** A JWS whose header is a JSON object with an `alg`. Nothing in it has been verified. */
export type UnverifiedJwt = UnverifiedJws & { readonly unverifiedHeader: Claims }

/**
 * Parses a token as a JWT. Returns undefined unless it has three base64url segments, of which the first decodes to a
 * JSON object with an `alg`. Only this decides between local verification and introspection.
 *
 * @param known cache of parsed headers, by their text
 */
export function readUnverifiedJwt(token: string, known?: Memo<Claims>): UnverifiedJwt | undefined {
  const jws = splitJws(token, known)
  return typeof jws?.unverifiedHeader?.['alg'] === 'string' ? (jws as UnverifiedJwt) : undefined
}

/** @throws {InvalidToken} the payload is not a JSON object */
export function readUnverifiedClaims(jwt: UnverifiedJws): Claims {
  const claims = jwt.unverifiedPayload
  if (claims === undefined)
    throw new InvalidToken('malformed', { expected: `a JSON object of at most ${MAX_DEPTH} levels as payload` })
  return claims
}

/**
 * Returns the issuer's keys. On a repeated call, `butNot` is the set that did not verify the token, and `missing`
 * describes the key that was searched for.
 *
 * @throws {Unavailable} the keys are not available
 * @throws {TooManyRequests} the key set may not be fetched again yet
 */
export interface KeySource<Keys extends KeySet> {
  (butNot?: Keys, missing?: Missing): Awaitable<Keys>
  /** Called after a wrong signature by a known key: an authorization server may have reused a `kid`. */
  suspect?: () => void
}

export interface JwtRules<Keys extends KeySet> extends ClaimRules {
  /** Seconds since the epoch. */
  readonly now: number
  /** Returns the issuer's keys; called again if no key fits, with the set that lacked one. */
  readonly keySet: KeySource<Keys>
  readonly verifySignature: VerifySignature
}

/**
 * Verifies a JWT against one issuer: algorithm and header, type, claims, key, signature, in this order.
 *
 * @returns undefined, or a promise of it while keys are fetched or the signature is verified. The claims are valid then
 * @throws {InvalidToken} malformed, wrong type, wrong claims, no key, wrong signature
 * @throws errors of `rules.keySet`, such as {@link Unavailable} if keys are not available
 */
export function verifyJwt<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  issuer: IssuerRules,
  rules: JwtRules<Keys>
): undefined | Promise<undefined> {
  const search = createKeySearch(jwt, issuer.algorithms, rules.keySet, rules.verifySignature)
  const claims = readUnverifiedClaims(jwt)
  requireType(jwt.unverifiedHeader['typ'], issuer.tokenProfile)
  if (issuer.tokenProfile === 'legacy') requireAccessTokenClaims(claims, issuer)
  else requireClaimValues(claims, issuer.requiredClaimValues)
  // A JWT needs `exp`, whichever claims are configured as required.
  if (isAbsent(claims['exp'])) throw new InvalidToken('claim', { expected: 'a claim exp' })
  verifyClaims(claims, issuer, rules, rules.now)
  return requireSignature(search)
}

/**
 * Verifies that one of the issuer's keys signed this JWT. Does NOT check the claims: the caller must.
 *
 * @throws {InvalidToken} an `alg` that is not allowed, an extension, no key, wrong signature
 * @throws errors of `keySet`
 */
export function verifyIssuerSignature<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  allowed: ReadonlySet<SignatureAlgorithm>,
  keySet: KeySource<Keys>,
  verifySignature: VerifySignature
): undefined | Promise<undefined> {
  return requireSignature(createKeySearch(jwt, allowed, keySet, verifySignature))
}

/** The search for the key that signed a JWT, and what its header says about that key. One object for each new token. */
interface KeySearch<Keys extends KeySet> {
  readonly jwt: UnverifiedJwt
  readonly algorithm: SignatureAlgorithm
  readonly kid: string | undefined
  /** Set for a header without `kid` that has a certificate thumbprint. */
  readonly certificate: CertificateThumbprints | undefined
  readonly keySet: KeySource<Keys>
  readonly verifySignature: VerifySignature
}

/** @throws {InvalidToken} the header has an `alg` that is not allowed, an extension, or a `kid` that is not a short string */
function createKeySearch<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  allowed: ReadonlySet<SignatureAlgorithm>,
  keySet: KeySource<Keys>,
  verifySignature: VerifySignature
): KeySearch<Keys> {
  const header = jwt.unverifiedHeader
  const { alg, crit, b64, kid } = header
  if (!allowed.has(alg as SignatureAlgorithm))
    throw new InvalidToken('algorithm', { expected: [...allowed], received: alg })
  // No extension is supported, so any `crit` is refused. `b64: false` is never valid in a JWT, even if `crit` does not
  // list it.
  if (crit !== undefined || b64 === false) throw new InvalidToken('critical_header', { received: crit })
  if (kid !== undefined && !isKid(kid))
    throw new InvalidToken('unknown_key', { expected: `a kid of at most ${MAX_KID_LENGTH} characters` })
  const isNamed = kid !== undefined || (header['x5t#S256'] === undefined && header['x5t'] === undefined)
  return {
    jwt,
    algorithm: alg as SignatureAlgorithm,
    kid,
    certificate: isNamed ? undefined : { x5t: header['x5t'], 'x5t#S256': header['x5t#S256'] },
    keySet,
    verifySignature
  }
}

function requireSignature<Keys extends KeySet>(search: KeySearch<Keys>): undefined | Promise<undefined> {
  const { jwt, keySet } = search
  if (!isCanonical(jwt.signature)) throw new InvalidToken('malformed', { expected: 'a signature in base64url' })
  const known = keySet()
  return isPromise(known) ? known.then((set) => verifyWith(set, search)) : verifyWith(known, search)
}

/** A known key set is used directly, without a closure: every new token takes this path. */
function verifyWith<Keys extends KeySet>(set: Keys, search: KeySearch<Keys>): undefined | Promise<undefined> {
  const keys = set.find(search.algorithm, search.kid, search.certificate)
  if (keys.length === 0) return verifyAgain(false, set, search)
  const valid = verifyAny(keys, search, 0)
  return typeof valid === 'boolean' ? judge(valid, set, search) : valid.then((isValid) => judge(isValid, set, search))
}

/** @param isValid whether a key of this set verified the signature */
function judge<Keys extends KeySet>(
  isValid: boolean,
  set: Keys,
  search: KeySearch<Keys>
): undefined | Promise<undefined> {
  if (isValid) return undefined
  if (isReplaceable(set, search)) return verifyAgain(true, set, search)
  search.keySet.suspect?.()
  throw new InvalidToken('signature')
}

/** @param wasWrong true if a fitting key of the known set did not verify the signature; false if no key fits */
async function verifyAgain<Keys extends KeySet>(
  wasWrong: boolean,
  known: Keys,
  search: KeySearch<Keys>
): Promise<undefined> {
  const { jwt, algorithm, kid, certificate, keySet } = search
  const missing = { kid, algorithm, iat: readUnverifiedClaims(jwt)['iat'] }
  let set = known
  let isWrong = wasWrong
  for (let further = MAX_SETS - 1; further >= 0; further--) {
    if (!isWrong) requireFindable(set, search)
    const next = further > 0 ? await keySet(set, missing) : set
    if (next === set) break
    set = next
    const keys = set.find(algorithm, kid, certificate)
    isWrong = keys.length > 0
    if (isWrong && (await verifyAny(keys, search, 0))) return
    if (isWrong && !isReplaceable(set, search)) throw new InvalidToken('signature')
    // A set that this process fetched is authoritative about a `kid`.
    if (!isWrong && kid !== undefined && !set.isSecondHand) break
  }
  throw isWrong ? new InvalidToken('signature') : unknownKey(set, search)
}

/** The names by which a header selects a key. */
type Named = Pick<KeySearch<KeySet>, 'algorithm' | 'kid'>

/** True if a wrong signature may mean that the key was replaced. A key without `kid` gives no other sign of it. */
function isReplaceable(set: KeySet, { algorithm, kid }: Named): boolean {
  return kid === undefined && set.hasUnnamed(algorithm)
}

/** @throws {InvalidToken} another fetch cannot help */
function requireFindable(set: KeySet, { algorithm, kid }: Named): void {
  // The set has the kid for another algorithm, and fetching again would not change that.
  if (kid !== undefined && set.has(kid)) throw new InvalidToken('unknown_key', { expected: `a key for ${algorithm}` })
}

function unknownKey(set: KeySet, { algorithm, kid }: Named): InvalidToken {
  const fitting = set.count(algorithm)
  return kid === undefined && fitting > 0
    ? new InvalidToken('unknown_key', {
        expected: `a kid, because ${fitting} keys fit ${algorithm} and at most 4 are tried`
      })
    : new InvalidToken('unknown_key', { received: kid })
}

function requireType(typ: unknown, tokenProfile: 'rfc9068' | 'legacy'): void {
  // Most tokens have exactly this value.
  if (typ === 'at+jwt' || isMediaType(typ, 'application/at+jwt')) return
  if (tokenProfile === 'legacy' && (typ === undefined || isMediaType(typ, 'application/jwt'))) return
  throw new InvalidToken('type', {
    expected: tokenProfile === 'legacy' ? 'at+jwt, JWT or none' : 'at+jwt',
    received: typ
  })
}

/** The part of a search that a signature is verified with. */
type Signed = Pick<KeySearch<KeySet>, 'jwt' | 'verifySignature'>

/** Maximum key sets searched for a key: the known one, and its successors. */
const MAX_SETS = 4

function verifyAny(keys: readonly SignatureKey[], search: Signed, from: number): boolean | Promise<boolean> {
  const key = keys[from]
  if (!key) return false
  const valid = search.verifySignature(key, search.jwt.signingInput, search.jwt.signature)
  // Usually only one key fits.
  if (from + 1 === keys.length || valid === true) return valid
  return valid === false ? verifyAny(keys, search, from + 1) : verifyAnother(valid, keys, search, from + 1)
}

async function verifyAnother(
  valid: Promise<boolean>,
  keys: readonly SignatureKey[],
  search: Signed,
  from: number
): Promise<boolean> {
  return (await valid) || verifyAny(keys, search, from)
}
