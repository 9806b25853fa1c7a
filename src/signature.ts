/**
 * Checks a JWS signature (RFC 7515 §5.2, RFC 7518 §3, RFC 8037) with `crypto.verify` on keys imported once. The
 * algorithm comes from a fixed table and the key, never from a token's header alone. Symmetric algorithms and `none`
 * are not in the table, so no configuration can admit them.
 *
 * Does NOT parse tokens, choose keys or know issuers.
 */
import { constants, type KeyObject, type VerifyKeyObjectInput, verify } from 'node:crypto'
import type { SignatureAlgorithm } from './types.js'

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
/** R and S as two fixed-length numbers (RFC 7518 §3.4), never DER. */
const ecdsa = (digest: string, crv: string, signatureLength: number): Algorithm => ({
  kty: 'EC',
  crv,
  digest,
  options: { dsaEncoding: 'ieee-p1363' },
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
  /** Whether to check with it costs less than to have it checked on another thread. */
  readonly isCheap: boolean
}

export function createSignatureKey(algorithm: SignatureAlgorithm, key: KeyObject): SignatureKey {
  const { digest, options, signatureLength } = ALGORITHMS[algorithm]
  const { modulusLength } = key.asymmetricKeyDetails ?? {}
  return {
    digest,
    input: { key, ...options },
    signatureLength: signatureLength ?? Math.ceil((modulusLength ?? 0) / 8),
    isCheap: modulusLength !== undefined && modulusLength <= CHEAP_RSA_BITS
  }
}

/**
 * True if the signature over `signingInput` is by this key.
 *
 * @param signingInput ASCII
 * @param signature    canonical base64url
 */
export type VerifySignature = (key: SignatureKey, signingInput: string, signature: string) => boolean | Promise<boolean>

/** As measured: a check takes about 18 µs with 2048 bits and 50 with P-256, and the way to another thread and back about 15. */
const CHEAP_RSA_BITS = 2048
/** Checks in one turn of the event loop that run at once on this thread. */
const SYNCHRONOUS_PER_TURN = 2
/** Checks given to libuv's pool and not back yet; more would keep DNS and file system waiting behind them. */
const POOLED_AT_MOST = 64
/** Milliseconds in which the pool gives something back, unless it is busy with other things: then it is given no more than a burst. */
const GIVES_BACK_IN = 5
/** Bytes that a check on this thread has for what is signed; what is longer gets its own. */
const SCRATCH = 4096
/** Bytes of a signature: of RSA with 8192 bits. */
const MAX_SIGNATURE = 1024

/**
 * One check at a time is synchronous: a hop to another thread costs more than the check. A burst goes to libuv's
 * thread pool, which uses the other cores and lets other requests through; when the pool is busy, back to this thread.
 */
export function createVerifySignature(now: () => number = () => performance.now()): VerifySignature {
  const inputs = createScratch(SCRATCH)
  const signatures = createScratch(MAX_SIGNATURE)
  let thisTurn = 0
  let pooled = 0
  /** When the pool gave one back, or was given the first. */
  let movedAt = 0
  const nextTurn = (): void => {
    thisTurn = 0
  }
  const verifyHere = (key: SignatureKey, signingInput: string, signature: string): boolean =>
    verify(key.digest, inputs.write(signingInput, 'latin1'), key.input, signatures.write(signature, 'base64url'))
  return (key, signingInput, signature) => {
    // Four characters are three bytes.
    if ((signature.length * 3) >> 2 !== key.signatureLength) return false
    // Counted over turns until there are so many: most checks then cost no callback. It may be one less in a turn.
    if (++thisTurn === SYNCHRONOUS_PER_TURN) setImmediate(nextTurn)
    // While the pool is at work there is more than one thread can do, and only what is cheap is worth doing here.
    const isFirst = thisTurn <= SYNCHRONOUS_PER_TURN && (key.isCheap || pooled === 0 || now() - movedAt > GIVES_BACK_IN)
    const isHere = isFirst || pooled >= POOLED_AT_MOST
    if (isHere && signingInput.length <= SCRATCH) return verifyHere(key, signingInput, signature)
    const bytes = [Buffer.from(signingInput, 'latin1'), Buffer.from(signature, 'base64url')] as const
    if (isHere) return verify(key.digest, bytes[0], key.input, bytes[1])
    if (pooled++ === 0) movedAt = now()
    return new Promise((resolve, reject) => {
      verify(key.digest, bytes[0], key.input, bytes[1], (error, valid) => {
        pooled--
        movedAt = now()
        if (error) reject(error)
        else resolve(valid)
      })
    })
  }
}

/** Memory that is written anew for each check on this thread, and its first so many bytes, made once for each number. */
function createScratch(size: number): { write(text: string, encoding: 'latin1' | 'base64url'): Buffer } {
  const bytes = Buffer.allocUnsafeSlow(size)
  const views = Array.from<Buffer | undefined>({ length: size + 1 })
  return {
    write: (text, encoding) => {
      const length = bytes.write(text, encoding)
      const view = views[length] ?? bytes.subarray(0, length)
      views[length] = view
      return view
    }
  }
}
