/**
 * Encrypted tokens (RFC 7516, RFC 9068 §2.1, RFC 9701 §5): our private keys, their public halves, and the plaintext of a
 * JWE in compact serialization. One JWE algorithm a key, never `RSA1_5`, `dir`, a password or a symmetric key
 * (RFC 8725 §3.2); no compression (RFC 8725 §3.6), no extension.
 *
 * Does NOT say who encrypted: anybody has our public keys. What comes out is as trustworthy as what went in, and has a
 * signature of its own to be verified (RFC 8725 §3.3).
 */
import { createMemo } from '../base/cache.js'
import { InvalidToken, Unavailable } from '../errors/errors.js'
import type { Claims } from '../types.js'
import { decodeBase64url, decodeObject, isJwe } from './compact.js'
import type { DecryptionKeySettings } from './decryption-keys.js'
import { sha256 } from './key-set.js'

const CONTENT_ENCRYPTION = ['A128GCM', 'A192GCM', 'A256GCM', 'A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512'] as const

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
