/**
 * Creates the keys of a test, and signs with them: access tokens, DPoP proofs (RFC 9449 §4.2) and a self-signed client
 * certificate (RFC 5280). It uses `node:crypto`, and shares no code with the verification.
 */
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
  X509Certificate
} from 'node:crypto'

/** Signature algorithms for a test's tokens (RFC 7518 §3.1, RFC 8037 §3.1). */
export type TestAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

export type JsonObject = Readonly<Record<string, unknown>>

export interface TestKey {
  readonly kid: string
  readonly alg: TestAlgorithm
  readonly privateKey: KeyObject
  /** For a key set. */
  readonly publicJwk: JsonObject
}

const PAIRS: Readonly<Record<TestAlgorithm, () => { publicKey: KeyObject; privateKey: KeyObject }>> = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync('ed25519')
}

export function createKey(alg: TestAlgorithm, kid: string): TestKey {
  if (!Object.hasOwn(PAIRS, alg))
    throw new TypeError(`createTestIssuer(): algorithm is '${alg}': it must be one of ${Object.keys(PAIRS).join(', ')}`)
  const { publicKey, privateKey } = PAIRS[alg]()
  return { kid, alg, privateKey, publicJwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

/** Signs a compact JWS (RFC 7515 §7.1). */
export function signJwt(header: JsonObject, payload: JsonObject, { alg, privateKey }: TestKey): string {
  const input = `${encode(header)}.${encode(payload)}`
  const options = { key: privateKey, ...SIGNING[alg] }
  return `${input}.${sign(alg === 'EdDSA' ? null : 'sha256', Buffer.from(input), options).toString('base64url')}`
}

const SIGNING = {
  ES256: { dsaEncoding: 'ieee-p1363' },
  RS256: {},
  PS256: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
  EdDSA: {}
} as const

export function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** A client's key for DPoP proofs. */
export interface DpopKey {
  /** RFC 7638 thumbprint: `cnf.jkt` of the tokens that are bound to it. */
  readonly jkt: string
  /**
   * Creates a proof for one request, with a new `jti` on each call.
   *
   * @param claims  replace those of a good proof; `undefined` removes a claim
   */
  proof(request: ProofRequest, claims?: JsonObject): string
}

interface ProofRequest {
  readonly method: string
  /** The URL of the request: `htu` omits its query and fragment. */
  readonly url: string
  readonly token: string
  /** Seconds since the epoch. */
  readonly at: number
  readonly nonce?: string | undefined
}

export function createDpopKey(): DpopKey {
  const key = createKey('ES256', 'dpop')
  const { crv, kty, x, y } = key.publicJwk
  return {
    jkt: sha256(JSON.stringify({ crv, kty, x, y })),
    proof: ({ method, url, token, at, nonce }, claims = {}) => {
      const { origin, pathname } = new URL(url)
      const payload = {
        jti: randomUUID(),
        htm: method,
        htu: origin + pathname,
        iat: Math.floor(at),
        ath: sha256(token)
      }
      const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
      return signJwt(header, { ...payload, ...(nonce !== undefined && { nonce }), ...claims }, key)
    }
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** A client's certificate and its key, as PEM: the input of a TLS client. */
export interface ClientCertificate {
  readonly cert: string
  readonly key: string
}

/** `cnf.x5t#S256` of a certificate in PEM or DER (RFC 8705 §3.1). */
export function thumbprint(certificate: string | Uint8Array): string {
  return createHash('sha256').update(new X509Certificate(certificate).raw).digest('base64url')
}

/** `ecdsa-with-SHA256` and `sha256WithRSAEncryption` (RFC 5758 §3.2, RFC 4055 §5), by the type of the key. */
const CERTIFICATE_ALGORITHMS: Readonly<Record<string, string>> = {
  ec: '06082a8648ce3d040302',
  rsa: '06092a864886f70d01010b0500'
}

/** Creates a self-signed certificate, valid from 2020 to 2049. @param privateKey  default: a new one for ES256 */
export function createCertificate(
  commonName: string,
  privateKey: KeyObject = PAIRS.ES256().privateKey
): ClientCertificate {
  const publicKey = createPublicKey(privateKey)
  const algorithm = sequence(Buffer.from(CERTIFICATE_ALGORITHMS[privateKey.asymmetricKeyType ?? ''] ?? '', 'hex'))
  const name = sequence(
    der(0x31, sequence(der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from(commonName))))
  )
  const time = (value: string): Buffer => der(0x17, Buffer.from(value))
  const toBeSigned = sequence(
    der(0x02, Buffer.of(1)),
    algorithm,
    name,
    sequence(time('200101000000Z'), time('491231235959Z')),
    name,
    publicKey.export({ type: 'spki', format: 'der' })
  )
  const signature = der(0x03, Buffer.of(0), sign('sha256', toBeSigned, privateKey))
  const body = sequence(toBeSigned, algorithm, signature).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  }
}

/** Encodes a tag and its content in DER (X.690 §8.1); the content may have up to 64 KiB. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const octets = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...octets]), content])
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts)
}
