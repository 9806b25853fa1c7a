/**
 * The JWS signature algorithms (RFC 7518 §3, RFC 8037), and a key bound to one of them. The algorithm comes from a fixed
 * table and the key, never from a token's header alone. Symmetric algorithms and `none` are not in the table, so no
 * configuration can admit them.
 *
 * Does NOT check a signature: see `verify-signature.ts`.
 */
import { constants, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto'
import type { SignatureAlgorithm } from '../types.js'

interface Algorithm {
  readonly kty: 'RSA' | 'EC' | 'OKP'
  readonly crv?: string
  /** Digest for `crypto.verify`; null where the scheme has its own. */
  readonly digest: string | null
  readonly options: Omit<VerifyKeyObjectInput, 'key'>
  /** Exact signature length in bytes; undefined for RSA, where the modulus says it. */
  readonly signatureLength?: number
}

const rsa = (digest: string): Algorithm => ({ kty: 'RSA', digest, options: { padding: constants.RSA_PKCS1_PADDING } })
/** The salt is as long as the digest (RFC 7518 §3.5): any other length is refused. */
const pss = (digest: string, saltLength: number): Algorithm => ({
  kty: 'RSA',
  digest,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
})
/** R and S as two fixed-length numbers (RFC 7518 §3.4): that length decides, before they become what {@link writeEcdsa} writes. */
const ecdsa = (digest: string, crv: string, signatureLength: number): Algorithm => ({
  kty: 'EC',
  crv,
  digest,
  options: {},
  signatureLength
})
/** `EdDSA` means Ed25519 here, as RFC 9864's fully-specified name does. */
const ed25519: Algorithm = { kty: 'OKP', crv: 'Ed25519', digest: null, options: {}, signatureLength: 64 }

const ALGORITHMS: Readonly<Record<SignatureAlgorithm, Algorithm>> = {
  RS256: rsa('sha256'),
  RS384: rsa('sha384'),
  RS512: rsa('sha512'),
  PS256: pss('sha256', 32),
  PS384: pss('sha384', 48),
  PS512: pss('sha512', 64),
  ES256: ecdsa('sha256', 'P-256', 64),
  ES384: ecdsa('sha384', 'P-384', 96),
  ES512: ecdsa('sha512', 'P-521', 132),
  EdDSA: ed25519,
  Ed25519: ed25519
}

export const SIGNATURE_ALGORITHMS: readonly SignatureAlgorithm[] = Object.freeze(
  Object.keys(ALGORITHMS) as SignatureAlgorithm[]
)

/** The algorithms that a key of this type and curve can be used with; empty for one that is of no use. */
export function algorithmsFor(kty: unknown, crv: unknown): readonly SignatureAlgorithm[] {
  return SIGNATURE_ALGORITHMS.filter((name) => ALGORITHMS[name].kty === kty && (ALGORITHMS[name].crv ?? crv) === crv)
}

/** A key bound to one algorithm, with everything `crypto.verify` wants, made once. */
export interface SignatureKey {
  readonly digest: string | null
  readonly input: VerifyKeyObjectInput
  readonly signatureLength: number
  /** Whether `crypto.verify` is to get a signature as {@link writeEcdsa} writes it. */
  readonly isEcdsa: boolean
}

export function createSignatureKey(algorithm: SignatureAlgorithm, key: KeyObject): SignatureKey {
  const { kty, digest, options, signatureLength } = ALGORITHMS[algorithm]
  const { modulusLength } = key.asymmetricKeyDetails ?? {}
  return {
    digest,
    input: { key, ...options },
    signatureLength: signatureLength ?? Math.ceil((modulusLength ?? 0) / 8),
    isEcdsa: kty === 'EC'
  }
}

/** Bytes that {@link writeEcdsa} writes at most: for ES512, with two numbers that are too large for the curve. */
export const MAX_ECDSA = 141

const SEQUENCE = 0x30
const INTEGER = 0x02

/**
 * An ECDSA signature as OpenSSL has it: a SEQUENCE of two INTEGERs in DER (RFC 3279 §2.2.3). Node would do that as well,
 * for `dsaEncoding: 'ieee-p1363'`, and takes more than half a microsecond for it.
 *
 * Does NOT check that the numbers are any of the curve: OpenSSL does.
 *
 * @param signature R and S, of equal length
 * @param der       room for {@link MAX_ECDSA} bytes
 * @returns how many bytes were written
 */
export function writeEcdsa(signature: Uint8Array, der: Uint8Array): number {
  const half = signature.length / 2
  const r = significant(signature, 0, half)
  const s = significant(signature, half, signature.length)
  const length = integerLength(signature, r, half) + integerLength(signature, s, signature.length)
  let at = 0
  der[at++] = SEQUENCE
  if (length > 0x7f) der[at++] = 0x81
  der[at++] = length
  at = writeInteger(signature, r, half, der, at)
  return writeInteger(signature, s, signature.length, der, at)
}

/** Where the first byte is that counts; a zero has its last one. */
function significant(bytes: Uint8Array, from: number, end: number): number {
  while (from < end - 1 && bytes[from] === 0) from++
  return from
}

/** With its tag and its length. */
function integerLength(bytes: Uint8Array, from: number, end: number): number {
  return 2 + signByte(bytes, from) + end - from
}

/** A number whose first bit is set would be a negative one. */
function signByte(bytes: Uint8Array, from: number): 0 | 1 {
  return (bytes[from] as number) > 0x7f ? 1 : 0
}

function writeInteger(bytes: Uint8Array, from: number, end: number, der: Uint8Array, at: number): number {
  der[at++] = INTEGER
  der[at++] = signByte(bytes, from) + end - from
  if (signByte(bytes, from) === 1) der[at++] = 0
  for (let i = from; i < end; i++) der[at++] = bytes[i] as number
  return at
}
