/**
 * Decrypts tokens (RFC 7516, RFC 9068 §2.1, RFC 9701 §5) in compact serialization with our private keys. Each key has
 * one JWE algorithm, never `RSA1_5`, `dir`, a password or a symmetric key (RFC 8725 §3.2). Compression (RFC 8725 §3.6)
 * and extensions are refused.
 *
 * Does NOT authenticate the sender: our public keys are public. The plaintext is as untrusted as the JWE and has its
 * own signature, which the caller must verify (RFC 8725 §3.3).
 */
import { createMemo } from '../base/cache.js'
import { InvalidToken, Unavailable } from '../errors/errors.js'
import type { Claims } from '../types.js'
import { decodeBase64url, decodeObject, isJwe } from './compact.js'
import type { DecryptionKeySettings } from './decryption-keys.js'
import { sha256 } from './key-set.js'

const CONTENT_ENCRYPTION = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'] as const

/** Decrypts a JWE that is encrypted to one of our keys. */
export interface Decrypt {
  /**
   * @returns the plaintext as text
   * @throws {InvalidToken} `decryption` for every failure: details would help only an attacker
   * @throws {Unavailable} too many decryptions are running
   */
  (jwe: string): Promise<string>
  /**
   * True for a JWE encrypted to one of our keys, by its `kid`, or without `kid` by its `alg`. If true, a failed
   * decryption must not fall back to introspection.
   */
  readonly isForUs: (text: string) => boolean
  /**
   * Records that this JWE's content was verified. Later decryptions of it use a separate queue, not the one for unknown
   * tokens.
   */
  readonly confirm: (jwe: string) => void
}

/**
 * Maximum decryptions running at once, and maximum waiting ones; more are refused. Each running one takes a thread of
 * libuv's pool, which has four by default.
 */
interface Bounds {
  readonly concurrent: number
  readonly queued: number
}

/** Limits for a JWE that was not seen before. Anyone can make one, because our public keys are public. */
const STRANGERS: Bounds = { concurrent: 32, queued: 256 }

/**
 * Limits for a JWE whose content was verified before, such as a client's repeated token. Unknown tokens cannot take
 * these places.
 */
const KNOWN: Bounds = { concurrent: 16, queued: 256 }

/** Maximum digests of JWEs whose content was verified. */
const CONFIRMED = 10_000

export function createDecrypt(keys: readonly DecryptionKeySettings[]): Decrypt {
  const strangers = createPlaces(STRANGERS)
  const known = createPlaces(KNOWN)
  const confirmed = createMemo<object>(CONFIRMED)
  const decrypt = async (jwe: string): Promise<string> => {
    const key = selectKey(readHeader(jwe), keys)
    // Only the canonical text of a token is accepted, not another text that decodes to the same bytes (RFC 7515 §2).
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

/**
 * Refuses everything that can be refused without a private key, and selects the key for the rest. Without `kid`, the
 * key must be the only one with its `alg`.
 */
function selectKey(
  header: Claims | undefined,
  keys: readonly DecryptionKeySettings[]
): DecryptionKeySettings | undefined {
  const { alg, kid, enc, zip, crit } = header ?? {}
  if (zip !== undefined || crit !== undefined || !CONTENT_ENCRYPTION.includes(enc as 'A128GCM')) return undefined
  const [key, other] = keys.filter((one) => one.algorithm === alg && (kid === undefined || one.kid === kid))
  return other === undefined ? key : undefined
}

/**
 * Limits concurrent work and queues the rest, first come first served. Does NOT share code with `http/places.ts`, where known
 * and unknown tokens divide one set of places, unknown ones are paced and served last in, first out, and a caller can leave.
 */
function createPlaces({ concurrent, queued }: Bounds): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let underWay = 0
  return async (work) => {
    if (underWay < concurrent) underWay++
    else if (waiting.length >= queued)
      throw new Unavailable('decryption', `${concurrent} decryptions are under way and ${queued} wait`, {
        retryAfter: 1
      })
    // A finished call hands its place to the next one directly, so that no later call can take it.
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
