/**
 * Published keys that verify nothing, or only what they are for, a good key beside them, and a token signed by each: the groups of Project Wycheproof for
 * JSON Web Keys and ECDSA, with keys of our own. Its vectors cannot be sent to an API, because their payloads are not claims.
 *
 * Does NOT hold keys of the issuer: good tokens never name them.
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import {
  checkPrimeSync,
  constants,
  createECDH,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  privateEncrypt,
  randomBytes,
  sign
} from 'node:crypto'
import { createKey } from '../../test-kit/keys.js'
import type { OddKey } from '../check.js'
import { encodeText, type KeyRing, signInput } from './keys.js'

export interface OddKeys {
  /** For the key set of the issuer. */
  readonly published: readonly Readonly<Record<string, unknown>>[]
  token(key: OddKey): string
}

/**
 * @param claims  JSON of good claims
 * @param roca    of {@link createRocaKey}, which takes long
 */
export function createOddKeys(name: string, ring: KeyRing, claims: string, roca: KeyObject): OddKeys {
  const made = (id: string, alg: string, jwk: object, signer: (input: string) => Buffer): Made => {
    const kid = `${name}-${id}`
    const input = `${encodeText(JSON.stringify({ typ: 'at+jwt', alg, kid }))}.${encodeText(claims)}`
    return { jwk: { use: 'sig', alg, kid, ...jwk }, token: `${input}.${signer(input).toString('base64url')}` }
  }
  const { privateKey: shared, publicJwk } = ring.encryption
  const plain = { kty: 'RSA', n: publicJwk['n'], e: publicJwk['e'] }
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const edge = edgeKey((jwk) => made('edge', 'ES256', jwk, () => signatureOf(1n)))
  const control = createKey('RS256', `${name}-control`)
  const keys: Readonly<Record<OddKey, Made>> = {
    control: made('control', 'RS256', control.publicJwk, (input) => signInput(input, control)),
    roca: made('roca', 'RS256', publicPart(roca), (input) => sign('sha256', Buffer.from(input), roca)),
    exponent: made('exponent', 'RS256', { ...plain, e: 'AQ' }, (input) => pkcs1(input, 256)),
    operations: made('operations', 'RS256', { ...plain, use: undefined, key_ops: ['encrypt'] }, (input) =>
      sign('sha256', Buffer.from(input), shared)
    ),
    curve: made('curve', 'ES256', p384.publicKey.export({ format: 'jwk' }), (input) =>
      sign('sha256', Buffer.from(input), { key: p384.privateKey, dsaEncoding: 'ieee-p1363' })
    ),
    sha1: made('sha1', 'RS1', { ...plain, alg: undefined }, (input) => sign('sha1', Buffer.from(input), shared)),
    'ecdsa-one': edge,
    'ecdsa-above-order': {
      ...edge,
      token: edge.token.replace(/[^.]*$/, () => signatureOf(1n + ORDER).toString('base64url'))
    }
  }
  const broken = [
    { kty: 'FOO', kid: `${name}-unknown-type`, use: 'sig' },
    { kty: 'RSA', kid: `${name}-incomplete`, use: 'sig', alg: 'RS256', e: 'AQAB' }
  ]
  return {
    published: [...broken, ...new Set(Object.values(keys).map(({ jwk }) => jwk))],
    token: (key) => keys[key].token
  }
}

interface Made {
  readonly jwk: Readonly<Record<string, unknown>>
  readonly token: string
}

const DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex')

/** EMSA-PKCS1-v1_5 (RFC 8017 §9.2) with SHA-256, or with other octets behind the padding. */
export function pkcs1(
  input: string,
  length: number,
  content: (hash: Buffer) => Buffer = (hash) => Buffer.concat([DIGEST_INFO, hash])
): Buffer {
  const inside = content(createHash('sha256').update(input).digest())
  return Buffer.concat([Buffer.of(0, 1), Buffer.alloc(length - inside.length - 3, 0xff), Buffer.of(0), inside])
}

/** A signature whose padding is what the caller says. */
export function signEncoded(encoded: Uint8Array, key: KeyObject): Buffer {
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded)
}

function publicPart(key: KeyObject): JsonWebKey {
  const { kty, n, e } = key.export({ format: 'jwk' })
  return { kty, n, e } as JsonWebKey
}

/** The order of the curve P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** The x coordinate of its base point: r of a signature whose random number is 1. */
const BASE_X = 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n

function signatureOf(s: bigint): Buffer {
  return Buffer.concat([bytesOf(BASE_X, 32), bytesOf(s, 32)])
}

/**
 * A key for which s = 1 is a valid signature of its token. With the random number 1, s = hash + r · d, so d follows from s. The
 * same signature with s above the order is a number that no signer makes, and that must not be reduced.
 */
function edgeKey(make: (jwk: object) => Made): Made {
  const { token } = make({})
  const hash = createHash('sha256')
    .update(token.slice(0, token.lastIndexOf('.')))
    .digest('hex')
  const d = modulo((1n - BigInt(`0x${hash}`)) * power(BASE_X, ORDER - 2n, ORDER), ORDER)
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(bytesOf(d, 32))
  const point = curve.getPublicKey()
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString('base64url'))
  return make({ kty: 'EC', crv: 'P-256', x, y })
}

/** Primes whose residues tell the moduli of the flawed generator ("ROCA", CVE-2017-15361). */
const RESIDUE_PRIMES = Array.from({ length: 165 }, (_, i) => BigInt(i + 3)).filter((one) => checkPrimeSync(one))

/** An RSA key of 2048 bits whose primes are powers of 65537 modulo small primes. */
export function createRocaKey(): KeyObject {
  const product = RESIDUE_PRIMES.reduce((all, one) => all * one, 1n)
  const e = 65_537n
  for (;;) {
    const [p, q] = [rocaPrime(product), rocaPrime(product)]
    const order = (p - 1n) * (q - 1n)
    if (p === q || order % e === 0n || (p * q).toString(2).length !== 2048) continue
    const d = inverse(e, order)
    const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: power(q, p - 2n, p) }
    const members = Object.entries(numbers).map(([name, value]) => [name, bytesOf(value).toString('base64url')])
    return createPrivateKey({ key: { kty: 'RSA', ...Object.fromEntries(members) }, format: 'jwk' })
  }
}

function rocaPrime(product: bigint): bigint {
  const residue = power(65_537n, BigInt(`0x${randomBytes(16).toString('hex')}`), product)
  for (;;) {
    // The first bits make the product of two such primes 2048 bits long.
    const start = (3n << 1022n) + BigInt(`0x${randomBytes(126).toString('hex')}`)
    const candidate = (start / product) * product + residue
    if (candidate % 2n === 1n && checkPrimeSync(candidate)) return candidate
  }
}

function modulo(value: bigint, by: bigint): bigint {
  return ((value % by) + by) % by
}

function power(base: bigint, exponent: bigint, by: bigint): bigint {
  let result = 1n
  for (let square = modulo(base, by), left = exponent; left > 0n; left >>= 1n, square = (square * square) % by)
    if (left & 1n) result = (result * square) % by
  return result
}

/** The extended algorithm of Euclid. */
function inverse(value: bigint, by: bigint): bigint {
  let [r, next, t, nextT] = [by, modulo(value, by), 0n, 1n]
  while (next !== 0n) {
    const quotient = r / next
    ;[r, next, t, nextT] = [next, r - quotient * next, nextT, t - quotient * nextT]
  }
  return modulo(t, by)
}

function bytesOf(value: bigint, length?: number): Buffer {
  const hex = value.toString(16)
  return Buffer.from(
    length === undefined ? hex.padStart(hex.length + (hex.length % 2), '0') : hex.padStart(2 * length, '0'),
    'hex'
  )
}
