/** The keys of `decryptionKeys`: their options and their checks. */
import { KeyObject } from 'node:crypto'
import type { Problems } from '../base/problems.js'
import type { JsonWebKeySet } from './key-set.js'
import { MAX_KID_LENGTH } from './key-set.js'

/** A private key for encrypted access tokens (RFC 9068 §2.1) and introspection answers (RFC 9701 §5). */
export interface DecryptionKey {
  /** A private `KeyObject` of `node:crypto`: RSA, P-256, P-384, P-521 or X25519. */
  readonly key: KeyObject
  /** `kid` under which the public key is published. */
  readonly kid: string
  /** `alg` of the JWE, the only one that this key decrypts. Default `RSA-OAEP-256` for RSA, `ECDH-ES+A256KW` for others. */
  readonly algorithm?: KeyManagementAlgorithm
}

/**
 * How the content encryption key may be encrypted (RFC 7518 §4.1). Without RSA1_5, `dir` and passwords. `RSA-OAEP` uses
 * SHA-1: name it for an authorization server that has nothing newer.
 */
export type KeyManagementAlgorithm =
  | 'RSA-OAEP-256'
  | 'RSA-OAEP-384'
  | 'RSA-OAEP-512'
  | 'RSA-OAEP'
  | 'ECDH-ES'
  | 'ECDH-ES+A128KW'
  | 'ECDH-ES+A192KW'
  | 'ECDH-ES+A256KW'

export interface DecryptionKeySettings {
  readonly key: KeyObject
  readonly kid: string
  /** The only `alg` that this key decrypts. */
  readonly algorithm: KeyManagementAlgorithm
}

/** The default first. `RSA-OAEP` (SHA-1) last: it is used only where the settings name it. */
const RSA_ALGORITHMS: readonly KeyManagementAlgorithm[] = ['RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'RSA-OAEP']

const ECDH_ALGORITHMS: readonly KeyManagementAlgorithm[] = [
  'ECDH-ES+A256KW',
  'ECDH-ES+A192KW',
  'ECDH-ES+A128KW',
  'ECDH-ES'
]

const CURVES: readonly unknown[] = ['prime256v1', 'secp384r1', 'secp521r1']

const MIN_RSA_BITS = 2048

/** An operation with an 8192-bit private key already takes fifty times that of a 2048-bit one. */
const MAX_RSA_BITS = 8192

/** The option `decryptionKeys`. */
export function readDecryptionKeys(value: unknown, problems: Problems): readonly DecryptionKeySettings[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length === 0) {
    problems.add('decryptionKeys', 'must be a list of at least one key', 'leave it out, or write [{ key, kid }]')
    return []
  }
  const kids = new Set<string>()
  const keys = value.map((one: unknown, i) => readDecryptionKey(one, `decryptionKeys[${i}]`, kids, problems))
  return Object.freeze(keys.filter((one) => one !== undefined))
}

function readDecryptionKey(
  value: unknown,
  path: string,
  kids: Set<string>,
  problems: Problems
): DecryptionKeySettings | undefined {
  if (!problems.object(value, path)) return undefined
  problems.unknownKeys(value, `${path}.`, ['key', 'kid', 'algorithm'])
  const { key, kid, algorithm } = value as Partial<DecryptionKey>
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_LENGTH)
    problems.add(`${path}.kid`, 'is not a key identifier', `it must be a string of 1 to ${MAX_KID_LENGTH} characters`)
  else if (kids.has(kid)) problems.add(`${path}.kid`, 'is that of an earlier key', 'give each key its own')
  else kids.add(kid)
  const fitting = algorithmsOf(key)
  if (typeof fitting === 'string') {
    problems.add(`${path}.key`, fitting, 'give a private KeyObject: createPrivateKey(…) of node:crypto')
    return undefined
  }
  const chosen = problems.oneOf(algorithm, `${path}.algorithm`, fitting) ?? (fitting[0] as KeyManagementAlgorithm)
  return Object.freeze({ key: key as KeyObject, kid: String(kid), algorithm: chosen })
}

/** What a key can do, the default first; or what is wrong with it. */
function algorithmsOf(key: unknown): readonly KeyManagementAlgorithm[] | string {
  if (!(key instanceof KeyObject) || key.type !== 'private') return 'is not a private key'
  const { modulusLength: bits = 0, namedCurve } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'x25519') return ECDH_ALGORITHMS
  if (key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve)) return ECDH_ALGORITHMS
  if (key.asymmetricKeyType !== 'rsa') return 'is not an RSA, P-256, P-384, P-521 or X25519 key'
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS)
    return `has ${bits} bits, and an RSA key needs ${MIN_RSA_BITS} to ${MAX_RSA_BITS}`
  return RSA_ALGORITHMS
}

/** What the authorization server encrypts to: the public halves, in the order of the keys (RFC 7517 §4). */
export function publicKeySet(keys: readonly DecryptionKeySettings[]): JsonWebKeySet {
  return {
    keys: keys.map(({ key, kid, algorithm: alg }) => {
      // Named one by one, so that no private member can come along.
      const { kty, crv, n, e, x, y } = key.export({ format: 'jwk' })
      return kty === 'RSA'
        ? { kty, kid, use: 'enc', alg, n, e }
        : { kty, kid, use: 'enc', alg, crv, x, ...(y !== undefined && { y }) }
    })
  }
}
