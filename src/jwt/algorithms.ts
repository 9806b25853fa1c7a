/**
 * The JWS signature algorithms (RFC 7518 §3, RFC 8037), and keys bound to one of them. The algorithm comes from a fixed
 * table and the key, never from a token's header alone. Symmetric algorithms and `none` are not in the table, so no
 * configuration can admit them.
 *
 * Does NOT verify signatures: see `verify-signature.ts`.
 */
import { constants, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto'

interface Algorithm {
  readonly kty: 'RSA' | 'EC' | 'OKP'
  readonly crv?: string
  /** Digest for `crypto.verify`; null where the algorithm has a built-in digest. */
  readonly digest: string | null
  readonly options: Omit<VerifyKeyObjectInput, 'key'>
  /** Exact signature length in bytes; undefined for RSA, where the modulus determines it. */
  readonly signatureLength?: number
}

const rsa = (digest: string): Algorithm => ({ kty: 'RSA', digest, options: { padding: constants.RSA_PKCS1_PADDING } })

/** The salt must be as long as the digest (RFC 7518 §3.5). */
const pss = (digest: string, saltLength: number): Algorithm => ({
  kty: 'RSA',
  digest,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }
})

/** R and S as two numbers of fixed length (RFC 7518 §3.4). The length is checked before `writeEcdsa()` converts them. */
const ecdsa = (digest: string, crv: string, signatureLength: number): Algorithm => ({
  kty: 'EC',
  crv,
  digest,
  options: {},
  signatureLength
})

/** `EdDSA` means Ed25519 here, like the fully-specified name of RFC 9864. */
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

/** Algorithms that a key of this type and curve can be used with; empty for an unsupported key. */
export function algorithmsFor(kty: unknown, crv: unknown): readonly SignatureAlgorithm[] {
  return SIGNATURE_ALGORITHMS.filter((name) => ALGORITHMS[name].kty === kty && (ALGORITHMS[name].crv ?? crv) === crv)
}

/** A key bound to one algorithm, with prepared arguments for `crypto.verify`. */
export interface SignatureKey {
  readonly digest: string | null
  readonly input: VerifyKeyObjectInput
  readonly signatureLength: number
  /** True if `crypto.verify` must get the signature as `writeEcdsa()` writes it. */
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

/** Algorithms that a token may be signed with. `none` and symmetric algorithms are not in the type. */
export type SignatureAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA'
  | 'Ed25519'
