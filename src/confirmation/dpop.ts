/**
 * Verifies DPoP proofs (RFC 9449 §4.3): the client holds the key that the access token is bound to, and created the proof
 * for this request, this token and this time. A proof is accepted once.
 *
 * Does NOT decide whether a proof is needed, nor verify the access token: see `confirmation.ts`, which comes after that.
 */
import { andThen, isPromise, withDeadline } from '../base/awaitable.js'
import { type CacheStats, createMemo, type Memo } from '../base/cache.js'
import { InvalidProof, InvalidToken, ProofNonceRequired, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { SignatureAlgorithm } from '../jwt/algorithms.js'
import { algorithmsFor, createSignatureKey, type SignatureKey } from '../jwt/algorithms.js'
import { isCanonical, isMediaType, splitJws, type UnverifiedJws } from '../jwt/compact.js'
import { importPublicKey, isPrivate, sha256, thumbprint } from '../jwt/key-set.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import { isOwnerQuotaExceeded } from '../sharing/memory-once-store.js'
import type { OnceStore } from '../sharing/stores.js'
import type { Awaitable, Claims } from '../types.js'
import { createNonces, NONCE_LIFETIME, type Nonces } from './nonce.js'
import { isTargetUri } from './target-uri.js'

export interface DpopSettings {
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Seconds after `iat` that a proof without a nonce is accepted. */
  readonly proofLifetime: number
  readonly nonces: 'off' | 'offered' | 'required'
  readonly nonceSecrets: readonly (string | Uint8Array)[]
  readonly replayStore: OnceStore
}

export interface ProofContext {
  readonly resource: string
  readonly publicUrls: readonly string[]
  readonly now: () => number
  /** Seconds that the replay store may take. */
  readonly deadline: number
  readonly verifySignature: VerifySignature
}

/** The request and the access token that a proof must be for. */
interface Expected {
  /** As received, case-sensitive. */
  readonly method: string
  /** The request target as received: path and query. */
  readonly target: string
  /** Expected `ath`: the SHA-256 of the access token as sent, in base64url. */
  readonly tokenHash: string
  /** The token's `cnf.jkt` (RFC 7638 thumbprint, 43 characters). */
  readonly jkt: string
  /** The owner whose share of the replay store the proof uses: see `VerifiedAccessToken.owner`. Without `.`, at most 22 characters. */
  readonly owner: string
}

/**
 * Verifies the proof of a request in the order of RFC 9449 §4.3, except that the key is checked before the signature. It is
 * recorded against replay last, so that only a valid proof by the token's own key takes room in the store.
 *
 * @param lines the `DPoP` field lines
 * @returns the nonce to send with the answer (`DPoP-Nonce`), or undefined if none is due
 * @throws {InvalidProof} missing, repeated, malformed, wrongly signed, mismatched, stale or used before
 * @throws {ProofNonceRequired} nonce missing, invalid or expired; carries a new one
 * @throws {InvalidToken} `dpop_binding`: a proof by another key than the token's
 * @throws {TooManyRequests} `replay_share`: the token's user or client has used its share of the replay store
 * @throws {Unavailable} the replay store did not answer, or is full of live entries
 */
export type VerifyProof = (lines: readonly string[], expected: Expected) => Awaitable<string | undefined>

/** Maximum characters of a proof. */
const MAX_PROOF_LENGTH = 4096
const MAX_JTI_LENGTH = 256
/** Maximum seconds that a client's clock may be ahead. A proof is also remembered this much longer than it is fresh. */
const MAX_AHEAD = 10
/** Maximum imported client keys in the cache. */
const MAX_KEYS = 5000

/** The header of a proof, parsed: all proofs by one key usually have the same header. */
interface ProofKey {
  readonly header: string
  readonly key: SignatureKey
  readonly jkt: string
}

/** Creates the verification of proofs, with a cache of the clients' keys. */
export function createVerifyProof(
  settings: DpopSettings,
  context: ProofContext
): VerifyProof & {
  /** How full the cache of the clients' keys is. */
  stats(): CacheStats
} {
  const verifier = new ProofVerifier(settings, context)
  const verifyProof: VerifyProof = (lines, expected) => verifier.verify(lines, expected)
  return Object.assign(verifyProof, { stats: () => verifier.stats() })
}

class ProofVerifier {
  private readonly settings: DpopSettings
  private readonly context: ProofContext
  private readonly nonces: Nonces | undefined
  /** By the tokens' `cnf.jkt`. Only keys that a token is bound to are added, so a stranger cannot fill the cache. */
  private readonly known: Memo<ProofKey> = createMemo<ProofKey>(MAX_KEYS, ({ header }) => header.length)

  constructor(settings: DpopSettings, context: ProofContext) {
    this.settings = settings
    this.context = context
    this.nonces = settings.nonces === 'off' ? undefined : createNonces(settings.nonceSecrets, context.resource)
  }

  stats(): CacheStats {
    return this.known.stats()
  }

  verify(lines: readonly string[], expected: Expected): Awaitable<string | undefined> {
    const jws = readProof(lines)
    const remembered = this.known.get(expected.jkt)
    const proofKey = remembered?.header === jws.header ? remembered : readHeader(jws, this.settings.algorithms)
    const claims = readClaims(jws.unverifiedPayload)
    if (!isCanonical(jws.signature)) throw new InvalidProof('proof_malformed')
    const verifying = this.context.verifySignature(proofKey.key, jws.signingInput, jws.signature)
    return andThen(verifying, (valid) => {
      if (!valid) throw new InvalidProof('proof_signature')
      return this.verifySigned(claims, proofKey, proofKey === remembered, expected)
    })
  }

  /** Everything after the signature. @param isKnown  the key is in the cache */
  private verifySigned(
    claims: ProofClaims,
    proofKey: ProofKey,
    isKnown: boolean,
    { method, target, tokenHash, jkt, owner }: Expected
  ): Awaitable<string | undefined> {
    if (claims.htm !== method) throw new InvalidProof('proof_method', { expected: method, received: claims.htm })
    this.requireTarget(claims.htu, target)
    const time = this.context.now()
    const nonceAge = this.readNonceAge(claims.nonce, time)
    const liveUntil = this.requireFresh(claims, time, nonceAge)
    if (!isEqual(claims.ath, tokenHash)) throw new InvalidProof('proof_token')
    if (!isEqual(jkt, proofKey.jkt)) throw new InvalidToken('dpop_binding')
    if (!isKnown) this.known.set(jkt, proofKey)
    const once = this.addOnce(`${owner}.${jkt}.${identify(claims.jti)}`, liveUntil - time + MAX_AHEAD)
    return andThen(once, () => this.nextNonce(nonceAge, time))
  }

  private requireTarget(htu: string, target: string): void {
    const { publicUrls } = this.context
    if (isTargetUri(publicUrls, target, htu)) return
    throw new InvalidProof('proof_target', {
      expected: publicUrls.map((url) => url + target.replace(/[?#].*$/s, '')),
      received: htu
    })
  }

  /** Seconds since the proof's nonce was created; undefined for a proof that may omit the nonce. */
  private readNonceAge(nonce: unknown, time: number): number | undefined {
    const { nonces } = this
    if (nonces === undefined || (nonce === undefined && this.settings.nonces === 'offered')) return undefined
    const age = typeof nonce === 'string' ? nonces.age(nonce, time) : undefined
    if (age === undefined) throw new ProofNonceRequired(nonces.create(time))
    return age
  }

  /**
   * Requires a fresh proof: by this server's time in the nonce if there is one, else by the client's `iat` (RFC 9449 §4.3
   * check 11).
   *
   * @returns until when the proof is fresh, in seconds since the epoch
   */
  private requireFresh({ iat, exp, nbf }: ProofClaims, time: number, nonceAge: number | undefined): number {
    const { proofLifetime } = this.settings
    const inTime =
      (exp === undefined || time < exp + MAX_AHEAD) &&
      (nbf === undefined || nbf <= time + MAX_AHEAD) &&
      (nonceAge !== undefined || (iat <= time + MAX_AHEAD && time <= iat + proofLifetime))
    if (!inTime) throw new InvalidProof('proof_freshness', { expected: `made at about ${time}`, received: iat })
    return nonceAge === undefined ? iat + proofLifetime : time - nonceAge + NONCE_LIFETIME
  }

  /** Records the proof against replay. @throws {InvalidProof | TooManyRequests | Unavailable} */
  private addOnce(key: string, ttl: number): Awaitable<void> {
    const { deadline } = this.context
    let added: Awaitable<boolean>
    try {
      added = this.settings.replayStore.add(key, ttl)
    } catch (cause) {
      return failReplay(cause)
    }
    if (!isPromise(added)) return requireNew(added)
    const late = (): Error => new Error(`no answer within ${deadline} s`)
    return withDeadline(added, deadline, late).catch(failReplay).then(requireNew)
  }

  /** Replaces a nonce in the second half of its life, which saves the client a refused request (RFC 9449 §8.2). */
  private nextNonce(age: number | undefined, time: number): string | undefined {
    return age === undefined || age > NONCE_LIFETIME / 2 ? this.nonces?.create(time) : undefined
  }
}

function failReplay(cause: unknown): never {
  if (isOwnerQuotaExceeded(cause)) throw new TooManyRequests('replay_share', { retryAfter: cause.retryAfter })
  throw new Unavailable('replay', 'the replay store of DPoP proofs failed', { cause })
}

function requireNew(added: unknown): void {
  if (added === false) throw new InvalidProof('proof_replayed')
  if (added !== true) throw new Unavailable('replay', '`add` of the replay store must return true or false')
}

/** Matches base64url characters, fewer than a digest has: the usual `jti`, a UUID or 96 to 128 random bits. */
const SHORT_ID = /^[A-Za-z0-9_-]{1,42}$/

/** A proof's `jti` as part of a key. Distinct values stay distinct, except for lone surrogates, which UTF-8 cannot encode. */
function identify(jti: string): string {
  return SHORT_ID.test(jti) ? jti : sha256(jti)
}

/** Checks 1 and 2. A proxy may have joined repeated fields with a comma, and a proof contains no comma. */
function readProof(lines: readonly string[]): UnverifiedJws {
  const [proof] = lines
  if (proof === undefined) throw new InvalidProof('proof_missing')
  if (lines.length > 1 || proof.includes(',')) throw new InvalidProof('proof_multiple')
  const jws = proof.length <= MAX_PROOF_LENGTH ? splitJws(proof) : undefined
  if (!jws) throw new InvalidProof('proof_malformed')
  return jws
}

/** Checks 3 to 5 of the header, and check 7. */
function readHeader(jws: UnverifiedJws, algorithms: readonly SignatureAlgorithm[]): ProofKey {
  const header = jws.unverifiedHeader
  if (!header) throw new InvalidProof('proof_malformed')
  const { typ, alg, jwk, crit, b64 } = header
  if (typ === undefined || alg === undefined || jwk === undefined) throw new InvalidProof('proof_claim')
  if (crit !== undefined || b64 === false) throw new InvalidProof('proof_malformed', { received: crit })
  if (!isMediaType(typ, 'application/dpop+jwt')) throw new InvalidProof('proof_type', { received: typ })
  const algorithm = algorithms.find((one) => one === alg)
  if (algorithm === undefined) throw new InvalidProof('proof_algorithm', { expected: algorithms, received: alg })
  if (typeof jwk !== 'object' || jwk === null || isPrivate(jwk)) throw new InvalidProof('proof_key')
  const { kty, crv } = jwk as Record<string, unknown>
  if (!algorithmsFor(kty, crv).includes(algorithm)) throw new InvalidProof('proof_key', { received: kty })
  requireForSignatures(jwk, algorithm)
  const key = importPublicKey(jwk)
  if (typeof key === 'string') throw new InvalidProof('proof_key', { expected: `not a key that ${key}` })
  // A copy: a substring would keep the whole proof in memory.
  return { header: Buffer.from(jws.header).toString(), key: createSignatureKey(algorithm, key), jkt: thumbprint(key) }
}

/** Checks the key's `use`, `key_ops` and `alg` (RFC 7517 §4.2 to §4.4). Null and empty members are ignored. */
function requireForSignatures(jwk: object, algorithm: SignatureAlgorithm): void {
  const { use, key_ops: operations, alg } = jwk as Record<string, unknown>
  if (says(use) && use !== 'sig') throw new InvalidProof('proof_key', { expected: 'use: sig', received: use })
  if (says(operations) && !(Array.isArray(operations) && operations.includes('verify')))
    throw new InvalidProof('proof_key', { expected: 'key_ops with verify', received: operations })
  if (says(alg) && alg !== algorithm) throw new InvalidProof('proof_key', { expected: algorithm, received: alg })
}

function says(member: unknown): boolean {
  return member !== undefined && member !== null && member !== '' && !(Array.isArray(member) && member.length === 0)
}

interface ProofClaims {
  readonly jti: string
  readonly htm: string
  readonly htu: string
  readonly iat: number
  readonly ath: string
  readonly nonce: unknown
  readonly exp: number | undefined
  readonly nbf: number | undefined
}

/** Check 3 of the claims. Unknown claims are ignored. */
function readClaims(claims: Claims | undefined): ProofClaims {
  if (!claims) throw new InvalidProof('proof_malformed')
  const { jti, htm, htu, iat, ath } = claims
  requireThere(jti, 'jti')
  requireThere(htm, 'htm')
  requireThere(htu, 'htu')
  requireThere(iat, 'iat')
  requireThere(ath, 'ath')
  if (!hasTypes(claims)) throw new InvalidProof('proof_malformed')
  return claims as unknown as ProofClaims
}

function requireThere(value: unknown, name: string): void {
  if (value === undefined || value === '') throw new InvalidProof('proof_claim', { expected: name })
}

function hasTypes({ jti, htm, htu, iat, ath, exp, nbf }: Claims): boolean {
  return (
    typeof jti === 'string' &&
    jti.length <= MAX_JTI_LENGTH &&
    typeof htm === 'string' &&
    typeof htu === 'string' &&
    typeof ath === 'string' &&
    Number.isFinite(iat) &&
    (exp === undefined || Number.isFinite(exp)) &&
    (nbf === undefined || Number.isFinite(nbf))
  )
}

/** Characters of a SHA-256 in base64url. */
const DIGEST_LENGTH = 43

/** True for two equal digests. All characters are compared, so the time does not reveal where they differ. */
function isEqual(a: string, b: string): boolean {
  if (a.length !== DIGEST_LENGTH || b.length !== DIGEST_LENGTH) return false
  let difference = 0
  for (let i = 0; i < DIGEST_LENGTH; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}
