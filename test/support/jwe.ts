/**
 * Encrypts compact JWEs (RFC 7516 §7.1) with `node:crypto` alone, exactly as told: the header may say anything, so that
 * a test can have one flaw and nothing else wrong. `RSA-OAEP-256` (or `RSA1_5`, `RSA-OAEP`) for RSA keys, `ECDH-ES` for
 * others; `A256GCM`.
 */
import {
  constants,
  createCipheriv,
  diffieHellman,
  generateKeyPairSync,
  hash,
  type KeyObject,
  publicEncrypt,
  randomBytes
} from 'node:crypto'
import { base64url } from './issuer.js'

export interface Encryption {
  /** Members of the header set, or with `undefined` removed. But for `alg`s named above they change nothing of what is done. */
  readonly header?: Readonly<Record<string, unknown>>
  /** The result of the key agreement, for a forger who knows it without a key. `epk` is then to be in `header`. */
  readonly sharedSecret?: Buffer
}

export function encryptJwe(
  plaintext: string | Uint8Array,
  recipient: { readonly publicKey: KeyObject; readonly kid: string },
  { header: overrides = {}, sharedSecret }: Encryption = {}
): string {
  const { publicKey, kid } = recipient
  const isRsa = publicKey.asymmetricKeyType === 'rsa'
  const header: Record<string, unknown> = { alg: isRsa ? 'RSA-OAEP-256' : 'ECDH-ES', enc: 'A256GCM', kid, cty: 'JWT' }
  let contentKey: Buffer = randomBytes(32)
  let encryptedKey: Buffer = Buffer.alloc(0)
  if (isRsa) {
    const padding = overrides['alg'] === 'RSA1_5' ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_OAEP_PADDING
    const oaepHash = overrides['alg'] === 'RSA-OAEP' ? 'sha1' : 'sha256'
    encryptedKey = publicEncrypt({ key: publicKey, padding, oaepHash }, contentKey)
  } else if (sharedSecret) contentKey = concatKdf(sharedSecret)
  else {
    const ephemeral = ephemeralFor(publicKey)
    const { kty, crv, x, y } = ephemeral.publicKey.export({ format: 'jwk' })
    header['epk'] = { kty, crv, x, y }
    contentKey = concatKdf(diffieHellman({ privateKey: ephemeral.privateKey, publicKey }))
  }
  const protectedHeader = base64url({ ...header, ...overrides })
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', contentKey, iv)
  cipher.setAAD(Buffer.from(protectedHeader))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return [protectedHeader, ...[encryptedKey, iv, ciphertext, cipher.getAuthTag()].map(base64url)].join('.')
}

/** The derived key of RFC 7518 §4.6.2 for `ECDH-ES` with `A256GCM`, without `apu` and `apv`: one round. */
function concatKdf(secret: Buffer): Buffer {
  const uint32 = (value: number): Buffer => Buffer.from([0, 0, value >> 8, value & 0xff])
  const algorithm = Buffer.from('A256GCM')
  const otherInfo = [uint32(algorithm.length), algorithm, uint32(0), uint32(0), uint32(256)]
  return hash('sha256', Buffer.concat([uint32(1), secret, ...otherInfo]), 'buffer')
}

function ephemeralFor(key: KeyObject): { publicKey: KeyObject; privateKey: KeyObject } {
  if (key.asymmetricKeyType === 'x25519') return generateKeyPairSync('x25519')
  return generateKeyPairSync('ec', { namedCurve: key.asymmetricKeyDetails?.namedCurve as string })
}
