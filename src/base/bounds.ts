/**
 * Bounds that several folders hold, each written once: lengths of names, and sizes of RSA keys.
 *
 * Tests: `test/jwt/key-set.test.ts`, `test/jwt/decryption.test.ts`, `test/revocation/revocations.test.ts`.
 */

/** Maximum characters of a name that is stored whole: an `iss`, a subject, a session, a client, a `jti` of a revocation. */
export const MAX_NAME_LENGTH = 2048

/** True for a string of 1 to {@link MAX_NAME_LENGTH} characters. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH
}

/** Maximum characters of a `kid`. */
export const MAX_KID_LENGTH = 256

/** True for a string of at most {@link MAX_KID_LENGTH} characters. */
export function isKid(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_KID_LENGTH
}

/** Minimum bits of an RSA key (RFC 7518 §3.3, §4.3). */
const MIN_RSA_BITS = 2048

/**
 * Maximum bits of an RSA key. Compared with 2048 bits, 8192 take ten times as long to verify a signature, and fifty times as
 * long to decrypt.
 */
export const MAX_RSA_BITS = 8192

/** The reason why an RSA key is too short or too long, to follow the name of the key; undefined for a usable key. */
export function describeRsaSize(bits: number): string | undefined {
  if (bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS) return undefined
  return `has ${bits} bits; RSA keys need ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`
}
