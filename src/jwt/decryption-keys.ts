/**
 * The option `decryptionKeys`: types, defaults and checks.
 *
 * Tests: `test/jwt/decryption.test.ts`.
 */
import { KeyObject } from 'node:crypto'
import { describeRsaSize, isKid, MAX_KID_LENGTH } from '../base/bounds.js'
import type { Problems } from '../base/options/problems.js'
import type { JsonWebKeySet } from './key-set.js'

/** A private key for encrypted access tokens (RFC 9068 §2.1) and introspection answers (RFC 9701 §5). */
export interface DecryptionKey {
  /** A private `KeyObject` of `node:crypto`: RSA, P-256, P-384, P-521 or X25519. */
  readonly key: KeyObject
  /** `kid` under which the public key is published. */
  readonly kid: string
  /** The only `alg` that this key decrypts. Default `RSA-OAEP-256` for RSA, `ECDH-ES+A256KW` for other keys. */
  readonly algorithm?: KeyManagementAlgorithm
}

/**
 * Accepted encryption of the content encryption key (RFC 7518 §4.1). Excludes RSA1_5, `dir` and passwords. `RSA-OAEP`
 * uses SHA-1: name it only for an authorization server that supports nothing newer.
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

/** The first one is the default. `RSA-OAEP` (SHA-1) is used only where the settings name it. */
const RSA_ALGORITHMS: readonly KeyManagementAlgorithm[] = ['RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'RSA-OAEP']

const ECDH_ALGORITHMS: readonly KeyManagementAlgorithm[] = [
  'ECDH-ES+A256KW',
  'ECDH-ES+A192KW',
  'ECDH-ES+A128KW',
  'ECDH-ES'
]

const CURVES: readonly unknown[] = ['prime256v1', 'secp384r1', 'secp521r1']

/** Reads the option `decryptionKeys`. */
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
  if (!isKid(kid) || kid === '')
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

/** Algorithms that fit a key, with the default first, or a text that says why the key is unusable. */
function algorithmsOf(key: unknown): readonly KeyManagementAlgorithm[] | string {
  if (!(key instanceof KeyObject) || key.type !== 'private') return 'is not a private key'
  const { modulusLength: bits = 0, namedCurve } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'x25519') return ECDH_ALGORITHMS
  if (key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve)) return ECDH_ALGORITHMS
  if (key.asymmetricKeyType !== 'rsa') return 'is not an RSA, P-256, P-384, P-521 or X25519 key'
  return describeRsaSize(bits) ?? RSA_ALGORITHMS
}

/** The public keys that the authorization server encrypts to, in the order of the option (RFC 7517 §4). */
export function publicKeySet(keys: readonly DecryptionKeySettings[]): JsonWebKeySet {
  return {
    keys: keys.map(({ key, kid, algorithm: alg }) => {
      // Members are copied by name, so that no private member is published.
      const { kty, crv, n, e, x, y } = key.export({ format: 'jwk' })
      return kty === 'RSA'
        ? { kty, kid, use: 'enc', alg, n, e }
        : { kty, kid, use: 'enc', alg, crv, x, ...(y !== undefined && { y }) }
    })
  }
}
