/**
 * A JWT access token: its parts, header and signature (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725, RFC 9068 §4). Compact
 * serialization only. Cheap checks come first; nothing is fetched for a token that could not pass anyway.
 *
 * Does NOT fall back to anything: a JWT that fails here has failed.
 */
import { isPromise } from './awaitable.js'
import type { Memo } from './cache.js'
import { type ClaimRules, requireAccessTokenClaims, requireClaimValues, verifyClaims } from './claims.js'
import { InvalidToken } from './errors.js'
import type { IssuerSettings } from './issuer-settings.js'
import { MAX_DEPTH } from './json.js'
import { decodeObject, isCanonical, isMediaType, splitJws, type UnverifiedJws } from './jws.js'
import { type KeySet, MAX_KID_LENGTH } from './key-set.js'
import type { Source } from './remote.js'
import type { SignatureKey } from './signature.js'
import type { Awaitable, Claims, SignatureAlgorithm } from './types.js'
import type { VerifySignature } from './verify-signature.js'

/** A JWT taken apart. Nothing in it has been verified. */
export interface UnverifiedJwt {
  /** The first segment, as it is. */
  readonly header: string
  readonly unverifiedHeader: Claims
  /** Parsed on the first call. */
  unverifiedClaims(): Claims
  /** header.payload, what the signature is over. */
  readonly signingInput: string
  readonly signature: string
}

/**
 * A token as a JWT, or undefined if it is not built like one: three base64url segments, of which the first decodes to
 * a JSON object with an `alg`. That alone decides between verifying here and introspection.
 *
 * @param known  headers that were read before, by their text
 */
export function readUnverifiedJwt(token: string, known?: Memo<Claims>): UnverifiedJwt | undefined {
  const jws = splitJws(token)
  if (jws === undefined) return undefined
  const header = known?.get(jws.header) ?? decodeObject(jws.header)
  return typeof header?.['alg'] === 'string' ? new SplitJwt(jws, header) : undefined
}

class SplitJwt implements UnverifiedJwt {
  readonly unverifiedHeader: Claims
  readonly #jws: UnverifiedJws
  #claims: Claims | undefined

  constructor(jws: UnverifiedJws, unverifiedHeader: Claims) {
    this.#jws = jws
    this.unverifiedHeader = unverifiedHeader
  }

  get header(): string {
    return this.#jws.header
  }

  get signingInput(): string {
    return this.#jws.signingInput
  }

  get signature(): string {
    return this.#jws.signature
  }

  unverifiedClaims(): Claims {
    this.#claims ??= decodeObject(this.#jws.payload)
    if (!this.#claims)
      throw new InvalidToken('malformed', { expected: `a JSON object of at most ${MAX_DEPTH} levels as payload` })
    return this.#claims
  }
}

export interface JwtRules extends ClaimRules {
  readonly now: number
}

/**
 * Verifies a JWT against one issuer: algorithm and header, type, claims, then the key, then the signature.
 *
 * @param keySet  the issuer's keys; asked again, naming the set that had none, when no key fits
 * @returns nothing, or a promise of it: of the key set, or of the signature check; the claims are good then
 * @throws {InvalidToken} malformed, wrong type, wrong claims, no key, wrong signature
 * @throws whatever `keySet` throws: {@link Unavailable} where keys cannot be known
 */
export function verifyJwt<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  issuer: IssuerSettings,
  keySet: Source<Keys>,
  verifySignature: VerifySignature,
  rules: JwtRules
): undefined | Promise<undefined> {
  const header = readHeader(jwt.unverifiedHeader, issuer.algorithms)
  const claims = jwt.unverifiedClaims()
  requireType(jwt.unverifiedHeader['typ'], issuer.tokenProfile)
  if (issuer.tokenProfile === 'legacy') requireAccessTokenClaims(claims, issuer)
  else requireClaimValues(claims, issuer.requiredClaimValues)
  // Whatever else is required.
  if (claims['exp'] === undefined) throw new InvalidToken('claim', { expected: 'a claim exp' })
  verifyClaims(claims, issuer, rules, rules.now)
  return requireSignature(jwt, header, keySet, verifySignature)
}

/**
 * Verifies that one of the issuer's keys signed this JWT. Only that: what it says is the caller's to check.
 *
 * @throws {InvalidToken} an `alg` that is not allowed, an extension, no key, wrong signature
 * @throws whatever `keySet` throws
 */
export function verifyIssuerSignature<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  allowed: ReadonlySet<SignatureAlgorithm>,
  keySet: Source<Keys>,
  verifySignature: VerifySignature
): undefined | Promise<undefined> {
  return requireSignature(jwt, readHeader(jwt.unverifiedHeader, allowed), keySet, verifySignature)
}

function requireSignature<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  { algorithm, kid }: Header,
  keySet: Source<Keys>,
  verifySignature: VerifySignature
): undefined | Promise<undefined> {
  const { signingInput, signature } = jwt
  if (!isCanonical(signature)) throw new InvalidToken('malformed', { expected: 'a signature in base64url' })
  // No function is made for what is known already: this is the path of every first sight.
  const keys = findKeys(keySet, algorithm, kid)
  const valid = isPromise(keys)
    ? verifyLater(keys, signingInput, signature, verifySignature)
    : verifyAny(keys, signingInput, signature, verifySignature, 0)
  return typeof valid === 'boolean' ? requireValid(valid) : valid.then(requireValid)
}

async function verifyLater(
  keys: Promise<readonly SignatureKey[]>,
  signingInput: string,
  signature: string,
  verifySignature: VerifySignature
): Promise<boolean> {
  return verifyAny(await keys, signingInput, signature, verifySignature, 0)
}

function requireValid(valid: boolean): undefined {
  if (!valid) throw new InvalidToken('signature')
}

interface Header {
  readonly algorithm: SignatureAlgorithm
  readonly kid: string | undefined
}

function readHeader(header: Claims, allowed: ReadonlySet<SignatureAlgorithm>): Header {
  const { alg, crit, b64, kid } = header
  if (!allowed.has(alg as SignatureAlgorithm))
    throw new InvalidToken('algorithm', { expected: [...allowed], received: alg })
  // No extension is understood, so any `crit` is one too many; `b64: false` is never valid in a JWT, listed or not.
  if (crit !== undefined || b64 === false) throw new InvalidToken('critical_header', { received: crit })
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH))
    throw new InvalidToken('unknown_key', { expected: `a kid of at most ${MAX_KID_LENGTH} characters` })
  return { algorithm: alg as SignatureAlgorithm, kid: kid as string | undefined }
}

function requireType(typ: unknown, tokenProfile: 'rfc9068' | 'legacy'): void {
  // As nearly all of them have it.
  if (typ === 'at+jwt' || isMediaType(typ, 'application/at+jwt')) return
  if (tokenProfile === 'legacy' && (typ === undefined || isMediaType(typ, 'application/jwt'))) return
  throw new InvalidToken('type', {
    expected: tokenProfile === 'legacy' ? 'at+jwt, JWT or none' : 'at+jwt',
    received: typ
  })
}

/** Sets in which a key is looked for: the one known here, one of another process, one fetched anew. */
const MAX_SETS = 3

function findKeys<Keys extends KeySet>(
  keySet: Source<Keys>,
  algorithm: SignatureAlgorithm,
  kid: string | undefined
): Awaitable<readonly SignatureKey[]> {
  const known = keySet()
  return isPromise(known)
    ? findLater(known, undefined, keySet, algorithm, kid, MAX_SETS)
    : findIn(known, keySet, algorithm, kid, MAX_SETS - 1)
}

/** @param further  how many more sets may be asked for, should this one have no such key */
function findIn<Keys extends KeySet>(
  set: Keys,
  keySet: Source<Keys>,
  algorithm: SignatureAlgorithm,
  kid: string | undefined,
  further: number
): Awaitable<readonly SignatureKey[]> {
  const keys = set.find(algorithm, kid)
  if (keys.length > 0) return keys
  // The kid is there, with a key of another algorithm: fetching again would not make it fit.
  if (kid !== undefined && set.has(kid)) throw new InvalidToken('unknown_key', { expected: `a key for ${algorithm}` })
  if (further === 0) throw new InvalidToken('unknown_key', { received: kid })
  const next = keySet(set)
  return isPromise(next)
    ? findLater(next, set, keySet, algorithm, kid, further)
    : findInNext(next, set, keySet, algorithm, kid, further)
}

async function findLater<Keys extends KeySet>(
  next: Promise<Keys>,
  before: Keys | undefined,
  keySet: Source<Keys>,
  algorithm: SignatureAlgorithm,
  kid: string | undefined,
  further: number
): Promise<readonly SignatureKey[]> {
  const set = await next
  return before === undefined
    ? findIn(set, keySet, algorithm, kid, further - 1)
    : findInNext(set, before, keySet, algorithm, kid, further)
}

function findInNext<Keys extends KeySet>(
  set: Keys,
  before: Keys,
  keySet: Source<Keys>,
  algorithm: SignatureAlgorithm,
  kid: string | undefined,
  further: number
): Awaitable<readonly SignatureKey[]> {
  if (set === before) throw new InvalidToken('unknown_key', { received: kid })
  // Of one that another process fetched, it is not said that it is the latest.
  return findIn(set, keySet, algorithm, kid, set.isSecondHand ? further - 1 : 0)
}

function verifyAny(
  keys: readonly SignatureKey[],
  signingInput: string,
  signature: string,
  verifySignature: VerifySignature,
  from: number
): boolean | Promise<boolean> {
  const key = keys[from]
  if (!key) return false
  const valid = verifySignature(key, signingInput, signature)
  // One key is the rule.
  if (from + 1 === keys.length || valid === true) return valid
  if (valid === false) return verifyAny(keys, signingInput, signature, verifySignature, from + 1)
  return verifyAnother(valid, keys, signingInput, signature, verifySignature, from + 1)
}

async function verifyAnother(
  valid: Promise<boolean>,
  keys: readonly SignatureKey[],
  signingInput: string,
  signature: string,
  verifySignature: VerifySignature,
  from: number
): Promise<boolean> {
  return (await valid) || verifyAny(keys, signingInput, signature, verifySignature, from)
}
