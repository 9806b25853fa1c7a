/**
 * A JSON Web Key Set (RFC 7517 §5) as a set of signature keys: which of an issuer's published keys may verify which
 * token. Keys that are of no use here are left out one by one and the rest stays usable; a private or symmetric key in
 * a published set is never used (RFC 7517 §9).
 *
 * Does NOT fetch, and does NOT decide when a set is too old.
 */
import { createPublicKey, hash, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import { algorithmsFor, createSignatureKey, type SignatureKey } from './signature.js'
import type { JsonWebKeySet, SignatureAlgorithm } from './types.js'

/** Keys of one set that are read; a longer list is refused whole. */
export const MAX_KEYS = 100
/** A key identifier beyond this many characters is no key of ours. */
export const MAX_KID_LENGTH = 256
/** Keys with one `kid` that are tried for one token. */
const MAX_CANDIDATES = 4
const MIN_RSA_BITS = 2048
/** A check with an 8192-bit key already takes ten times that of a 2048-bit one. */
const MAX_RSA_BITS = 8192
/** A longer exponent makes every check as slow as a signature. */
const MAX_RSA_EXPONENT = 0xffff_ffffn

const NO_KEYS: readonly SignatureKey[] = Object.freeze([])
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

interface Entry {
  readonly kid: string | undefined
  readonly algorithm: SignatureAlgorithm
  readonly key: SignatureKey
}

export interface KeySet {
  /** Keys that fit a token's `alg` and `kid`; without `kid`, the only key that fits `alg` (RFC 7515 §4.1.4). */
  find(algorithm: SignatureAlgorithm, kid: string | undefined): readonly SignatureKey[]
  /** True if some key of the set has this `kid`, whatever its algorithm. */
  has(kid: string): boolean
  /** What identifies each usable key: its `kid` and its material. For comparing sets. */
  readonly fingerprints: ReadonlySet<string>
  /** How many published keys are usable. */
  readonly size: number
  /** Why the others are not: for the operator. */
  readonly skipped: readonly string[]
  /** Fetched by another process than this. */
  readonly isSecondHand?: boolean
}

/** @throws {TypeError} not a key set, or more than {@link MAX_KEYS} keys */
export function readKeySet(document: unknown): KeySet {
  const keys = (document as Partial<JsonWebKeySet> | null)?.keys
  if (!Array.isArray(keys)) throw new TypeError('not a JSON Web Key Set: it has no list `keys`')
  if (keys.length > MAX_KEYS) throw new TypeError(`a key set of ${keys.length} keys; at most ${MAX_KEYS} are read`)
  /** By `kid`, the keys for each algorithm; those without a `kid` are under undefined. */
  const byKid = new Map<string | undefined, Map<SignatureAlgorithm, readonly SignatureKey[]>>()
  const byAlgorithm = new Map<SignatureAlgorithm, readonly SignatureKey[]>()
  const fingerprints = new Set<string>()
  const skipped: string[] = []
  for (const [i, jwk] of keys.entries()) {
    const result = readKey(jwk)
    if (typeof result === 'string') skipped.push(`keys[${i}] ${result}`)
    else {
      fingerprints.add(result.fingerprint)
      for (const { kid, algorithm, key } of result.entries) {
        const named = byKid.get(kid) ?? new Map<SignatureAlgorithm, readonly SignatureKey[]>()
        named.set(algorithm, [...(named.get(algorithm) ?? NO_KEYS), key].slice(0, MAX_CANDIDATES))
        byKid.set(kid, named)
        byAlgorithm.set(algorithm, [...(byAlgorithm.get(algorithm) ?? NO_KEYS), key])
      }
    }
  }
  return {
    find: (algorithm, kid) => {
      if (kid !== undefined) return byKid.get(kid)?.get(algorithm) ?? NO_KEYS
      const fitting = byAlgorithm.get(algorithm) ?? NO_KEYS
      return fitting.length === 1 ? fitting : NO_KEYS
    },
    has: (kid) => byKid.has(kid),
    fingerprints,
    size: fingerprints.size,
    skipped
  }
}

/** The key's entries, one an algorithm, or why it is left out. */
function readKey(jwk: unknown): { entries: Entry[]; fingerprint: string } | string {
  if (typeof jwk !== 'object' || jwk === null) return 'is not an object'
  const { kty, crv, kid, use, key_ops: operations, alg } = jwk as Record<string, unknown>
  if (isPrivate(jwk)) return 'is a private or symmetric key: it must not be published'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) return 'has an unusable kid'
  if (use !== undefined && use !== 'sig') return 'is not for signatures (use)'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'is not for verifying (key_ops)'
  // One key, one algorithm, where the publisher says which (RFC 8725 §3.1).
  const algorithms = algorithmsFor(kty, crv).filter((name) => alg === undefined || alg === name)
  if (algorithms.length === 0) return 'is of no supported kty, crv and alg'
  const key = importPublicKey(jwk)
  if (typeof key === 'string') return key
  const entries = algorithms.map((algorithm) => ({ kid, algorithm, key: createSignatureKey(algorithm, key) }))
  const material = key.export({ type: 'spki', format: 'der' }).toString('base64')
  return { entries, fingerprint: JSON.stringify([kid, alg, material]) }
}

/** True for a JWK with a private part, or a symmetric one: no member of either may travel (RFC 9449 §4.2, RFC 7517 §9). */
export function isPrivate(jwk: object): boolean {
  return PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member))
}

/** The RFC 7638 thumbprint of a public RSA, EC or OKP key: base64url SHA-256, 43 characters. */
export function thumbprint(key: KeyObject): string {
  const { crv, e, kty, n, x, y } = key.export({ format: 'jwk' })
  // The required members in the order of their names (RFC 7638 §3.2); the others are undefined and left out.
  return sha256(JSON.stringify({ crv, e, kty, n, x, y }))
}

/** Base64url SHA-256 of a text's UTF-8 or of bytes. */
export function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'base64url')
}

/** The key of a public JWK, or why it is of no use: words that follow "a key that". */
export function importPublicKey(jwk: object): KeyObject | string {
  let key: KeyObject
  try {
    key = createPublicKey({ key: jwk as JsonWebKeyInput['key'], format: 'jwk' })
  } catch {
    return 'has missing or invalid members'
  }
  const { modulusLength: bits, publicExponent: exponent } = key.asymmetricKeyDetails ?? {}
  if (bits !== undefined && (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS))
    return `has ${bits} bits; RSA keys need ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`
  if (exponent !== undefined && (exponent < 3n || exponent % 2n === 0n || exponent > MAX_RSA_EXPONENT))
    return 'has an unusable RSA exponent'
  if (bits !== undefined && isRoca(String((jwk as { n?: unknown }).n)))
    return 'has a modulus whose factors can be computed (CVE-2017-15361)'
  return key
}

/** Moduli of the flawed generator are powers of 65537 modulo every one of these primes; others hardly ever are. */
const ROCA_PRIMES = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
  127, 131, 137, 139, 149, 151, 157, 163, 167
]

/** The private key to such a modulus ("ROCA") can be computed from the public one, by anybody. */
function isRoca(n: string): boolean {
  const modulus = BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
  return ROCA_PRIMES.every((prime) => {
    const rest = Number(modulus % BigInt(prime))
    for (let exponent = 0, power = 1; exponent < prime; exponent++) {
      if (power === rest) return true
      power = (power * 65_537) % prime
    }
    return false
  })
}
