/**
 * Bounded memory of facts: "this token was verified, and says this". Never of decisions: what may change (time, keys,
 * policy, the sender) is checked by the caller on every hit. Time is the caller's too, so that one clock rules.
 */
import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'

/** How full a cache is, and its bounds. */
export interface CacheStats {
  readonly entries: number
  readonly maxEntries: number
  /** Approximate. */
  readonly bytes: number
  readonly maxBytes: number
}

/** Characters of a token's end by which it is found: 72 bits of its signature, in a text short enough to be hashed fast. */
const TAIL = 12
const MAX_TOKENS = 10_000
const MAX_BYTES = 16 * 1024 * 1024
/** Room for {@link MAX_TOKENS} of a usual length. */
const MAX_TOKENS_BYTES = 32 * 1024 * 1024
/** A longer token is verified each time. */
const MAX_CACHED_LENGTH = 4096
/** Bookkeeping, beside that. */
const ENTRY_OVERHEAD = 512
/** Given each time a cache is asked, so that none is made each time. Not frozen: lru-cache writes to it. */
const NO_OPTIONS = {}

/**
 * Values by whole token. Found by the token's last characters, because hashing a fresh string of 900 characters costs
 * more than everything else on a hit; then the *whole* token is compared, so a collision can only be a miss.
 */
export interface TokenCache<V> {
  get(token: string): V | undefined
  set(value: V): void
  delete(token: string): void
  stats(): CacheStats
}

export function createTokenCache<V extends { readonly token: string; readonly bytes: number }>(): TokenCache<V> {
  const entries = new LRUCache<string, V>({
    max: MAX_TOKENS,
    maxSize: MAX_TOKENS_BYTES,
    sizeCalculation: ({ bytes }) => bytes + ENTRY_OVERHEAD
  })
  const get = (token: string): V | undefined => {
    const entry = entries.get(token.slice(-TAIL), NO_OPTIONS)
    return entry !== undefined && entry.token === token ? entry : undefined
  }
  return {
    get,
    set: (value) => {
      if (value.token.length <= MAX_CACHED_LENGTH) entries.set(value.token.slice(-TAIL), value)
    },
    delete: (token) => {
      if (get(token) !== undefined) entries.delete(token.slice(-TAIL))
    },
    stats: () => ({
      entries: entries.size,
      maxEntries: MAX_TOKENS,
      bytes: entries.calculatedSize,
      maxBytes: MAX_TOKENS_BYTES
    })
  }
}

/** Values that never change, by the text they were made of. */
export interface Memo<V> {
  get(text: string): V | undefined
  set(text: string, value: V): unknown
  stats(): CacheStats
}

export function createMemo<V extends object>(maxEntries: number): Memo<V> {
  const entries = new LRUCache<string, V>({
    max: maxEntries,
    maxSize: MAX_BYTES,
    sizeCalculation: (_value, text) => text.length + ENTRY_OVERHEAD
  })
  return {
    get: (text) => entries.get(text, NO_OPTIONS),
    set: (text, value) => entries.set(text, value),
    stats: () => ({ entries: entries.size, maxEntries, bytes: entries.calculatedSize, maxBytes: MAX_BYTES })
  }
}

/** Values by key, each until a time (seconds since the epoch). A clock set back beyond `since` ends them too. */
export interface TimedCache<V> {
  get(key: string, now: number): V | undefined
  /** @param bytes about how much the value holds */
  set(key: string, value: V, now: number, until: number, bytes?: number): void
  delete(key: string): void
  stats(): CacheStats
}

export function createTimedCache<V>(max: number): TimedCache<V> {
  const entries = new LRUCache<string, { readonly value: V; readonly since: number; readonly until: number }>({
    max,
    maxSize: MAX_BYTES
  })
  return {
    get: (key, now) => {
      const entry = entries.get(key, NO_OPTIONS)
      return entry !== undefined && entry.since <= now && now < entry.until ? entry.value : undefined
    },
    set: (key, value, now, until, bytes = 0) => {
      if (until > now) entries.set(key, { value, since: now, until }, { size: bytes + ENTRY_OVERHEAD })
    },
    delete: (key) => {
      entries.delete(key)
    },
    stats: () => ({ entries: entries.size, maxEntries: max, bytes: entries.calculatedSize, maxBytes: MAX_BYTES })
  }
}

/** A cache key that gives nothing away, and that no two lists of parts share. */
export function digestKey(...parts: readonly string[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
