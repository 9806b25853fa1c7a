/** Keys and signed texts of a simulation: Ed25519, whose signatures are the same in each run. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'

type Json = Readonly<Record<string, unknown>>

export interface Key {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: Json
}

/** The fixed beginning of an Ed25519 private key in PKCS #8 (RFC 8410 §7). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

const keys = new Map<string, Key>()

/** The key of this name, the same in each run. */
export function keyOf(kid: string): Key {
  const known = keys.get(kid)
  if (known !== undefined) return known
  const seed = createHash('sha256').update(kid).digest()
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
  const { kty, crv, x } = createPublicKey(privateKey).export({ format: 'jwk' })
  const key = { kid, privateKey, jwk: { kty, crv, x, kid, alg: 'EdDSA', use: 'sig' } }
  keys.set(kid, key)
  return key
}

/** RFC 7638, RFC 8037 §2. */
export function thumbprintOf({ jwk: { crv, kty, x } }: Key): string {
  return digestOf(JSON.stringify({ crv, kty, x }))
}

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A compact JWS. @param header beside `alg` */
export function signed(header: Json, claims: Json, { privateKey }: Key): string {
  const input = `${encode({ alg: 'EdDSA', ...header })}.${encode(claims)}`
  return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`
}

/** A DPoP proof (RFC 9449 §4.2) for GET of the simulated API. */
export function proofOf(
  key: Key,
  { url, token, jti, at }: { url: string; token: string; jti: string; at: number }
): string {
  const { kty, crv, x } = key.jwk
  return signed(
    { typ: 'dpop+jwt', jwk: { kty, crv, x } },
    { jti, htm: 'GET', htu: url, iat: at, ath: digestOf(token) },
    key
  )
}
