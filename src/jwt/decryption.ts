/**
 * Encrypted tokens (RFC 7516, RFC 9068 §2.1, RFC 9701 §5): our private keys, their public halves, and the plaintext of a
 * JWE in compact serialization. One JWE algorithm a key, never `RSA1_5`, `dir`, a password or a symmetric key
 * (RFC 8725 §3.2); no compression (RFC 8725 §3.6), no extension.
 *
 * Does NOT say who encrypted: anybody has our public keys. What comes out is as trustworthy as what went in, and has a
 * signature of its own to be verified (RFC 8725 §3.3).
 */
import { KeyObject } from 'node:crypto'
import { createMemo } from '../base/cache.js'
import type { Problems } from '../base/problems.js'
import { InvalidToken, Unavailable } from '../errors/errors.js'
import type { DecryptionKey, KeyManagementAlgorithm } from '../server/options.js'
import type { Claims, JsonWebKeySet } from '../types.js'
import { decodeBase64url, decodeObject, isJwe } from './compact.js'
import { MAX_KID_LENGTH, sha256 } from './key-set.js'

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
const CONTENT_ENCRYPTION = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'] as const
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
    problems.add(`${path}.kid`, 'is no key identifier', `it must be a text of 1 to ${MAX_KID_LENGTH} characters`)
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
  if (!(key instanceof KeyObject) || key.type !== 'private') return 'is no private key'
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

/** Decrypts, or has no part in it. */
export interface Decrypt {
  /**
   * @returns the plaintext as text
   * @throws {InvalidToken} `decryption`, whatever was wrong: which it was helps nobody but an attacker
   * @throws {Unavailable} too many decryptions are under way
   */
  (jwe: string): Promise<string>
  /**
   * True for a JWE that is meant for one of our keys: by its `kid`, or without one by its `alg`. If true, a failed
   * decryption must not fall back to introspection.
   */
  readonly isForUs: (text: string) => boolean
  /** Says that what this JWE held was verified: from now on it waits with its like, and not with those of strangers. */
  readonly confirm: (jwe: string) => void
}

/** Decryptions at once, and those that wait for a place; one more is refused. Each takes a thread of libuv's pool, which has four. */
interface Bounds {
  readonly concurrent: number
  readonly queued: number
}

/** For a JWE that was not seen before: anybody has our public keys, and can have us try one. */
const STRANGERS: Bounds = { concurrent: 32, queued: 256 }
/** For a JWE whose content was verified before, as of a client that comes back with its token: no stranger takes these places. */
const KNOWN: Bounds = { concurrent: 16, queued: 256 }
/** JWEs whose content was verified, by their digests: of clients that come back with the token they had. */
const CONFIRMED = 10_000

export function createDecrypt(keys: readonly DecryptionKeySettings[]): Decrypt {
  const strangers = createPlaces(STRANGERS)
  const known = createPlaces(KNOWN)
  const confirmed = createMemo<object>(CONFIRMED)
  const decrypt = async (jwe: string): Promise<string> => {
    const key = selectKey(readHeader(jwe), keys)
    // A token has one text: another one that decodes to the same bytes is not it (RFC 7515 §2).
    if (key === undefined || !jwe.split('.').every((segment) => decodeBase64url(segment)))
      throw new InvalidToken('decryption')
    const take = confirmed.get(sha256(jwe)) === undefined ? strangers : known
    return take(async () => {
      const { compactDecrypt } = await import('jose')
      try {
        const { plaintext } = await compactDecrypt(jwe, key.key, {
          keyManagementAlgorithms: [key.algorithm],
          contentEncryptionAlgorithms: [...CONTENT_ENCRYPTION]
        })
        return Buffer.from(plaintext).toString()
      } catch {
        throw new InvalidToken('decryption')
      }
    })
  }
  return Object.assign(decrypt, {
    isForUs: (text: string): boolean => {
      const { kid, alg } = readHeader(text) ?? {}
      return keys.some((key) => (kid === undefined ? key.algorithm === alg : key.kid === kid))
    },
    confirm: (jwe: string): void => confirmed.set(sha256(jwe), decrypt)
  })
}

function readHeader(jwe: string): Claims | undefined {
  return isJwe(jwe) ? decodeObject(jwe.slice(0, jwe.indexOf('.'))) : undefined
}

/** All that can be refused without a private key, and the key for the rest; without `kid` the only one of its `alg`. */
function selectKey(
  header: Claims | undefined,
  keys: readonly DecryptionKeySettings[]
): DecryptionKeySettings | undefined {
  const { alg, kid, enc, zip, crit } = header ?? {}
  if (zip !== undefined || crit !== undefined || !CONTENT_ENCRYPTION.includes(enc as 'A128GCM')) return undefined
  const [key, other] = keys.filter((one) => one.algorithm === alg && (kid === undefined || one.kid === kid))
  return other === undefined ? key : undefined
}

/** So many at once, and so many that wait, first come first served. */
function createPlaces({ concurrent, queued }: Bounds): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let underWay = 0
  return async (work) => {
    if (underWay < concurrent) underWay++
    else if (waiting.length >= queued)
      throw new Unavailable('decryption', `${concurrent} decryptions are under way and ${queued} wait`, {
        retryAfter: 1
      })
    // The place is handed over, not given back and taken again: nobody can slip in between.
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else underWay--
    }
  }
}
