/**
 * The keys of the suite's authorization server, fresh on each run, and signatures with them.
 *
 * The set has a key for each algorithm, and two that no API may use: an RSA key of 1024 bits (RFC 7518 §3.3) and a key for
 * encryption (RFC 7517 §4.2).
 *
 * Tests: `test/conformance/issuer.test.ts`.
 */
import { constants, createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createKey, type TestKey } from '../../test-kit/keys.js'
import type { SigningAlgorithm } from '../check.js'

const ALGORITHMS: readonly SigningAlgorithm[] = ['RS256', 'ES256', 'PS256', 'EdDSA']

export interface SuiteKey {
  readonly kid: string
  readonly alg: SigningAlgorithm
  readonly privateKey: KeyObject
  readonly publicJwk: Readonly<Record<string, unknown>>
}

export interface KeyRing {
  of(algorithm: SigningAlgorithm): SuiteKey
  readonly weak: SuiteKey
  readonly encryption: SuiteKey
  readonly published: readonly Readonly<Record<string, unknown>>[]
}

/**
 * @param name    begins the `kid` of each key, so that the keys of two servers never share one
 * @param former  lends its two keys that no API may use: they need not change, and RSA keys take long to make
 */
export function createKeyRing(name: string, former?: KeyRing): KeyRing {
  const keys = new Map(ALGORITHMS.map((alg): [SigningAlgorithm, TestKey] => [alg, createKey(alg, `${name}-${alg}`)]))
  const weak = former?.weak ?? rsaKey(`${name}-weak`, 1024, 'sig')
  const encryption = former?.encryption ?? rsaKey(`${name}-encryption`, 2048, 'enc')
  return {
    of: (algorithm) => keys.get(algorithm) as SuiteKey,
    weak,
    encryption,
    published: [...keys.values(), weak, encryption].map(({ publicJwk }) => publicJwk)
  }
}

function rsaKey(kid: string, modulusLength: number, use: string): SuiteKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength })
  const alg = use === 'sig' ? { alg: 'RS256' } : {}
  return { kid, alg: 'RS256', privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }), kid, use, ...alg } }
}

/** Signs the input of a JWS (RFC 7515 §5.1). @param algorithm default: that of the key */
export function signInput(
  input: string,
  { alg, privateKey }: SuiteKey,
  algorithm: SigningAlgorithm | undefined = alg,
  saltLength = 32
): Buffer {
  const bytes = Buffer.from(input)
  if (algorithm === 'EdDSA') return sign(null, bytes, privateKey)
  if (algorithm === 'ES256') return sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return algorithm === 'PS256'
    ? sign('sha256', bytes, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
    : sign('sha256', bytes, privateKey)
}

export function encodeText(json: string): string {
  return Buffer.from(json).toString('base64url')
}

/** The RFC 7638 thumbprint of a public key. */
export function jwkThumbprint(jwk: Readonly<Record<string, unknown>>): string {
  const { kty, crv, x, y, n, e } = jwk
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  return sha256(JSON.stringify(members))
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
