/**
 * DPoP proofs (RFC 9449 §4.3): that whoever sent this request holds the key that the access token is bound to, and made
 * the proof for this request, this token and this moment, once.
 *
 * Does NOT decide whether a proof is needed, nor verify the access token: see `confirmation.ts`, which comes after that.
 */
import { andThen, isPromise, withDeadline } from '../base/awaitable.js'
import { type CacheStats, createMemo } from '../base/cache.js'
import { InvalidProof, InvalidToken, ProofNonceRequired, TooManyRequests, Unavailable } from '../errors/errors.js'
import type { SignatureAlgorithm } from '../jwt/algorithms.js'
import { algorithmsFor, createSignatureKey, type SignatureKey } from '../jwt/algorithms.js'
import { decodeObject, isCanonical, isMediaType, splitJws, type UnverifiedJws } from '../jwt/compact.js'
import { importPublicKey, isPrivate, sha256, thumbprint } from '../jwt/key-set.js'
import type { VerifySignature } from '../jwt/verify-signature.js'
import { isOwnerQuotaExceeded } from '../sharing/memory-once-store.js'
import type { OnceStore } from '../sharing/stores.js'
import type { Awaitable, Claims } from '../types.js'
import { createNonces, NONCE_LIFETIME, type Nonces } from './nonce.js'
import { isTargetUri } from './target-uri.js'

export interface DpopSettings {
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Seconds. */
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

/** What a proof must be for. */
interface Expected {
  /** As received, case-sensitive. */
  readonly method: string
  /** The request target as received: path and query. */
  readonly target: string
  /** What `ath` must be: the SHA-256 of the access token as sent, in base64url. */
  readonly tokenHash: string
  /** The token's `cnf.jkt` (RFC 7638 thumbprint, 43 characters). */
  readonly jkt: string
  /** Whose share of the replay store the proof takes: see `VerifiedAccessToken.owner`. Without `.`, at most 22 characters. */
  readonly owner: string
}

/**
 * Verifies the proof of a request, in the order of RFC 9449 §4.3; the key itself comes before the signature. The proof is
 * recorded against replay last, so that only a proof by the token's own key, good in every respect, occupies the store.
 *
 * @param lines the `DPoP` field lines
 * @returns the nonce to hand out with the answer (`DPoP-Nonce`), or undefined where none is due
 * @throws {InvalidProof} missing, repeated, malformed, wrongly signed, mismatched, stale or used before
 * @throws {ProofNonceRequired} nonce missing or no longer good; carries another one
 * @throws {InvalidToken} `dpop_binding`: a proof by another key than the token's
 * @throws {TooManyRequests} `replay_share`: the token's user or client has used its share of the replay store
 * @throws {Unavailable} the replay store did not answer, or is full of live entries
 */
export type VerifyProof = (lines: readonly string[], expected: Expected) => Awaitable<string | undefined>

/** Characters of a proof. */
const MAX_PROOF_LENGTH = 4096
const MAX_JTI_LENGTH = 256
/** Seconds that a client's clock may be ahead; also by how much longer than needed a proof is remembered. */
const MAX_AHEAD = 10
/** Client keys that are kept imported. */
const MAX_KEYS = 5000

/** What the header of a proof says, which is the same for all proofs of a client. */
interface ProofKey {
  readonly header: string
  readonly key: SignatureKey
  readonly jkt: string
}

export function createVerifyProof(
  settings: DpopSettings,
  context: ProofContext
): VerifyProof & {
  /** Of the clients' keys that are kept. */
  stats(): CacheStats
} {
  const { now, publicUrls, verifySignature } = context
  const nonces = settings.nonces === 'off' ? undefined : createNonces(settings.nonceSecrets, context.resource)
  // By the thumbprint that tokens have. Only keys that a token was bound to get here: nobody else can fill it.
  const known = createMemo<ProofKey>(MAX_KEYS, ({ header }) => header.length)

  const verifyProof: VerifyProof = (lines, { method, target, tokenHash, jkt, owner }) => {
    const jws = readProof(lines)
    const remembered = known.get(jkt)
    const isSame = remembered?.header === jws.header
    const proofKey = isSame ? remembered : readHeader(jws.header, settings.algorithms)
    const claims = readClaims(jws.payload)
    if (!isCanonical(jws.signature)) throw new InvalidProof('proof_malformed')
    return andThen(verifySignature(proofKey.key, jws.signingInput, jws.signature), (valid) => {
      if (!valid) throw new InvalidProof('proof_signature')
      if (claims.htm !== method) throw new InvalidProof('proof_method', { expected: method, received: claims.htm })
      if (!isTargetUri(publicUrls, target, claims.htu))
        throw new InvalidProof('proof_target', {
          expected: publicUrls.map((url) => url + target.replace(/[?#].*$/s, '')),
          received: claims.htu
        })
      const time = now()
      const nonceAge = readNonceAge(claims.nonce, time)
      const liveUntil = requireFresh(claims, time, nonceAge)
      if (!isEqual(claims.ath, tokenHash)) throw new InvalidProof('proof_token')
      if (!isEqual(jkt, proofKey.jkt)) throw new InvalidToken('dpop_binding')
      if (!isSame) known.set(jkt, proofKey)
      const once = addOnce(`${owner}.${jkt}.${identify(claims.jti)}`, liveUntil - time + MAX_AHEAD)
      return andThen(once, () => nextNonce(nonceAge, time))
    })
  }

  return Object.assign(verifyProof, { stats: () => known.stats() })

  /** Seconds since the proof's nonce was made; undefined where a proof may do without. */
  function readNonceAge(nonce: unknown, time: number): number | undefined {
    if (nonces === undefined || (nonce === undefined && settings.nonces === 'offered')) return undefined
    const age = typeof nonce === 'string' ? nonces.age(nonce, time) : undefined
    if (age === undefined) throw new ProofNonceRequired(nonces.create(time))
    return age
  }

  /**
   * Fresh by our own time inside the nonce, where there is one, else by the client's `iat` (RFC 9449 §4.3 check 11).
   *
   * @returns until when the proof is fresh, in seconds since the epoch
   */
  function requireFresh({ iat, exp, nbf }: ProofClaims, time: number, nonceAge: number | undefined): number {
    const inTime =
      (exp === undefined || time < exp + MAX_AHEAD) &&
      (nbf === undefined || nbf <= time + MAX_AHEAD) &&
      (nonceAge !== undefined || (iat <= time + MAX_AHEAD && time <= iat + settings.proofLifetime))
    if (!inTime) throw new InvalidProof('proof_freshness', { expected: `made at about ${time}`, received: iat })
    return nonceAge === undefined ? iat + settings.proofLifetime : time - nonceAge + NONCE_LIFETIME
  }

  function addOnce(key: string, ttl: number): Awaitable<void> {
    const { replayStore } = settings
    const failed = (cause: unknown): never => {
      if (isOwnerQuotaExceeded(cause)) throw new TooManyRequests('replay_share', { retryAfter: cause.retryAfter })
      throw new Unavailable('replay', 'the replay store of DPoP proofs failed', { cause })
    }
    let added: Awaitable<boolean>
    try {
      added = replayStore.add(key, ttl)
    } catch (cause) {
      return failed(cause)
    }
    if (!isPromise(added)) return requireNew(added)
    const late = (): Error => new Error(`no answer within ${context.deadline} s`)
    return withDeadline(added, context.deadline, late).catch(failed).then(requireNew)
  }

  /** Of a nonce that is half spent the client hears before it ends, which saves it a refused request (RFC 9449 §8.2). */
  function nextNonce(age: number | undefined, time: number): string | undefined {
    return age === undefined || age > NONCE_LIFETIME / 2 ? (nonces as Nonces | undefined)?.create(time) : undefined
  }
}

function requireNew(added: unknown): void {
  if (added === false) throw new InvalidProof('proof_replayed')
  if (added !== true) throw new Unavailable('replay', '`add` of the replay store must return true or false')
}

/** Shorter than a digest, and of its alphabet, as most are that clients make: a UUID, 96 or 128 random bits. */
const SHORT_ID = /^[A-Za-z0-9_-]{1,42}$/

/** A proof's `jti` as a part of a key: no two become the same one, but for lone surrogates, which UTF-8 has no bytes for. */
function identify(jti: string): string {
  return SHORT_ID.test(jti) ? jti : sha256(jti)
}

/** Checks 1 and 2. Repeated fields may have become one on the way: a proof has no comma. */
function readProof(lines: readonly string[]): UnverifiedJws {
  const [proof] = lines
  if (proof === undefined) throw new InvalidProof('proof_missing')
  if (lines.length > 1 || proof.includes(',')) throw new InvalidProof('proof_multiple')
  const jws = proof.length <= MAX_PROOF_LENGTH ? splitJws(proof) : undefined
  if (!jws) throw new InvalidProof('proof_malformed')
  return jws
}

/** Checks 3 to 5 of the header, and 7. */
function readHeader(segment: string, algorithms: readonly SignatureAlgorithm[]): ProofKey {
  const header = decodeObject(segment)
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
  // A copy: cut out of the proof, it would keep all of that.
  return { header: Buffer.from(segment).toString(), key: createSignatureKey(algorithm, key), jkt: thumbprint(key) }
}

/** The key's own word on its use (RFC 7517 §4.2 to §4.4). Null and empty members say nothing. */
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

/** Checks 3 of the claims. Those unknown are ignored. */
function readClaims(segment: string): ProofClaims {
  const claims = decodeObject(segment)
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

/** Whether two texts are the same digest: all characters are looked at, so that the time tells nothing of where they differ. */
function isEqual(a: string, b: string): boolean {
  if (a.length !== DIGEST_LENGTH || b.length !== DIGEST_LENGTH) return false
  let difference = 0
  for (let i = 0; i < DIGEST_LENGTH; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}
