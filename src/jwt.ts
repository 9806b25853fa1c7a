/**
 * A JWT access token: its parts, header and signature (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725, RFC 9068 §4). Compact
 * serialization only. Cheap checks come first; nothing is fetched for a token that could not pass anyway.
 *
 * Does NOT fall back to anything: a JWT that fails here has failed.
 */
import { isUtf8 } from 'node:buffer'
import { andThen } from './awaitable.js'
import { type ClaimRules, requireAccessTokenClaims, verifyClaims } from './claims.js'
import { InvalidToken } from './errors.js'
import type { IssuerSettings } from './issuer-settings.js'
import { type KeySet, MAX_KID_LENGTH } from './key-set.js'
import type { Source } from './remote.js'
import type { SignatureKey, VerifySignature } from './signature.js'
import type { Awaitable, Claims, SignatureAlgorithm } from './types.js'

/** A JWT taken apart. Nothing in it has been verified. */
export interface UnverifiedJwt {
  readonly unverifiedHeader: Claims
  /** Parsed on the first call. */
  unverifiedClaims(): Claims
  /** header.payload, what the signature is over. */
  readonly signingInput: string
  readonly signature: string
}

/** Three segments of base64url, the last one perhaps empty. */
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)$/

/**
 * A token as a JWT, or undefined if it is not built like one: three base64url segments, of which the first decodes to
 * a JSON object with an `alg`. That alone decides between verifying here and introspection.
 */
export function readUnverifiedJwt(token: string): UnverifiedJwt | undefined {
  const parts = COMPACT.exec(token)
  if (!parts) return undefined
  const [, header, payload, signature] = parts as unknown as [string, string, string, string]
  const unverifiedHeader = decodeObject(header)
  if (typeof unverifiedHeader?.['alg'] !== 'string') return undefined
  let claims: Claims | undefined
  return {
    unverifiedHeader,
    unverifiedClaims: () => {
      claims ??= decodeObject(payload)
      if (!claims) throw new InvalidToken('malformed', { expected: 'a JSON object as payload' })
      return claims
    },
    signingInput: token.slice(0, header.length + 1 + payload.length),
    signature
  }
}

/** True for the compact serialization of a JWE (RFC 7516 §7.1): five segments, whose content nobody here can read. */
export function isJwe(token: string): boolean {
  return /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$/.test(token)
}

/** Segment → JSON object, or undefined: canonical base64url, UTF-8, an object (RFC 7515 §2, RFC 7519 §7.2). */
function decodeObject(segment: string): Claims | undefined {
  const bytes = decodeBase64url(segment)
  if (!bytes || !isUtf8(bytes)) return undefined
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : undefined
  } catch {
    return undefined
  }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/**
 * Bytes of one segment, or undefined if another text would decode to the same bytes: Node's decoder drops a lone last
 * character and unused bits without a word, so they are looked at first.
 */
function decodeBase64url(segment: string): Buffer | undefined {
  const rest = segment.length % 4
  if (rest === 1) return undefined
  if (rest > 1) {
    const unused = rest === 2 ? 0b1111 : 0b11
    if (ALPHABET.indexOf(segment.at(-1) as string) & unused) return undefined
  }
  return Buffer.from(segment, 'base64url')
}

export interface JwtRules extends ClaimRules {
  readonly now: number
}

/**
 * Verifies a JWT against one issuer: algorithm and header, type, claims, then the key, then the signature.
 *
 * @param keySet  the issuer's keys; asked again, naming the set that had none, when no key fits
 * @returns the claims, deeply unfrozen; the key set's promise is the only thing that may be waited for
 * @throws {InvalidToken} malformed, wrong type, wrong claims, no key, wrong signature
 * @throws whatever `keySet` throws: {@link Unavailable} where keys cannot be known
 */
export function verifyJwt<Keys extends KeySet>(
  jwt: UnverifiedJwt,
  issuer: IssuerSettings,
  keySet: Source<Keys>,
  verifySignature: VerifySignature,
  rules: JwtRules
): Awaitable<Claims> {
  const { algorithm, kid } = readHeader(jwt.unverifiedHeader, issuer.algorithms)
  const claims = jwt.unverifiedClaims()
  requireType(jwt.unverifiedHeader['typ'], issuer.profile)
  if (issuer.profile === 'legacy') requireAccessTokenClaims(claims)
  verifyClaims(claims, issuer, rules, rules.now)
  const signature = decodeBase64url(jwt.signature)
  if (!signature) throw new InvalidToken('malformed', { expected: 'a signature in base64url' })
  return andThen(findKeys(keySet, algorithm, kid), (keys) =>
    andThen(verifyAny(keys, Buffer.from(jwt.signingInput, 'latin1'), signature, verifySignature), (valid) => {
      if (!valid) throw new InvalidToken('signature')
      return claims
    })
  )
}

function readHeader(
  header: Claims,
  allowed: ReadonlySet<SignatureAlgorithm>
): { algorithm: SignatureAlgorithm; kid: string | undefined } {
  const { alg, crit, b64, kid } = header
  if (!allowed.has(alg as SignatureAlgorithm))
    throw new InvalidToken('algorithm', { expected: [...allowed], received: alg })
  // No extension is understood, so any `crit` is one too many; `b64: false` is never valid in a JWT, listed or not.
  if (crit !== undefined || b64 === false) throw new InvalidToken('critical_header', { received: crit })
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH))
    throw new InvalidToken('unknown_key', { expected: `a kid of at most ${MAX_KID_LENGTH} characters` })
  return { algorithm: alg as SignatureAlgorithm, kid: kid as string | undefined }
}

const ACCESS_TOKEN_TYPES: ReadonlySet<string> = new Set(['application/at+jwt'])
const LEGACY_TYPES: ReadonlySet<string> = new Set(['application/at+jwt', 'application/jwt'])

/** `typ` is a media type: case-insensitive, `application/` understood where there is no slash (RFC 7515 §4.1.9). */
function requireType(typ: unknown, profile: 'rfc9068' | 'legacy'): void {
  if (typ === undefined && profile === 'legacy') return
  const mediaType = typeof typ === 'string' ? (typ.includes('/') ? typ : `application/${typ}`).toLowerCase() : ''
  const accepted = profile === 'legacy' ? LEGACY_TYPES : ACCESS_TOKEN_TYPES
  if (!accepted.has(mediaType)) throw new InvalidToken('type', { expected: [...accepted], received: typ })
}

function findKeys<Keys extends KeySet>(
  keySet: Source<Keys>,
  algorithm: SignatureAlgorithm,
  kid: string | undefined
): Awaitable<readonly SignatureKey[]> {
  return andThen(keySet(), (set) => {
    const keys = set.find(algorithm, kid)
    if (keys.length > 0) return keys
    // The kid is there, with a key of another algorithm: fetching again would not make it fit.
    if (kid !== undefined && set.has(kid)) throw new InvalidToken('unknown_key', { expected: `a key for ${algorithm}` })
    return andThen(keySet(set), (next) => {
      const found = next.find(algorithm, kid)
      if (found.length === 0) throw new InvalidToken('unknown_key', { received: kid })
      return found
    })
  })
}

function verifyAny(
  keys: readonly SignatureKey[],
  input: Buffer,
  signature: Buffer,
  verifySignature: VerifySignature
): Awaitable<boolean> {
  const [key, ...others] = keys
  if (!key) return false
  return andThen(
    verifySignature(key, input, signature),
    (valid) => valid || verifyAny(others, input, signature, verifySignature)
  )
}
