/**
 * Bounded caches of facts: "this token was verified, and says this". They never hold decisions: the caller checks on
 * every hit what may have changed (time, keys, policy, the sender). The caller also passes the time, so that all parts
 * use one clock.
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

/** Maximum bytes of all entries of one cache. */
const MAX_BYTES = 16 * 1024 * 1024
/** Maximum bytes of one entry: a few larger entries would leave no room for others. */
const MAX_ENTRY = MAX_BYTES / 256
/** Bytes of bookkeeping per entry. */
const ENTRY_OVERHEAD = 512
/** Passed to each `get`, so that lru-cache allocates no options object. Not frozen: lru-cache writes to it. */
const NO_OPTIONS = {}

/** Maximum characters of a cached text: longer texts are rare, and their values can use twenty times their memory. */
const MAX_TEXT = 1024

/** Immutable values, by the text they were made from. */
export interface Memo<V> {
  get(text: string): V | undefined
  /** Does nothing for a text of more than {@link MAX_TEXT} characters. */
  set(text: string, value: V): void
  stats(): CacheStats
}

interface Remembered<V> {
  readonly text: string
  readonly value: V
}

/** @param sizeOf  approximate bytes of a value; needed if values hold more than a few hundred bytes */
export function createMemo<V extends object>(maxEntries: number, sizeOf?: (value: V) => number): Memo<V> {
  const entries = new LRUCache<string, Remembered<V>>({
    max: maxEntries,
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_ENTRY,
    sizeCalculation: ({ value }, text) => text.length + ENTRY_OVERHEAD + (sizeOf?.(value) ?? 0)
  })
  // Consecutive look-ups usually ask for the same text, so try the last result first.
  let last: Remembered<V> | undefined
  return {
    get: (text) => {
      if (last !== undefined && text === last.text) return last.value
      const found = entries.get(text, NO_OPTIONS)
      if (found === undefined) return undefined
      last = found
      return found.value
    },
    set: (text, value) => {
      if (text.length > MAX_TEXT) return
      // A copy: a slice of a longer string would keep that string in memory.
      const copy = Buffer.from(text).toString()
      const remembered = { text: copy, value }
      entries.set(copy, remembered)
      if (last?.text === copy) last = remembered
    },
    stats: () => ({ entries: entries.size, maxEntries, bytes: entries.calculatedSize, maxBytes: MAX_BYTES })
  }
}

/** Values by key, each until a time (seconds since the epoch). A value also ends if the clock is set back before `since`. */
export interface TimedCache<V> {
  get(key: string, now: number): V | undefined
  /** Does not keep a value of more than a 256th of the cache, and drops its key's old value then. */
  set(key: string, value: V, now: number, until: number): void
  delete(key: string): void
  stats(): CacheStats
}

/** @param sizeOf  approximate bytes of a value; needed if values hold more than a few hundred bytes */
export function createTimedCache<V>(max: number, sizeOf?: (value: V) => number): TimedCache<V> {
  const entries = new LRUCache<string, { readonly value: V; readonly since: number; readonly until: number }>({
    max,
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_ENTRY
  })
  return {
    get: (key, now) => {
      const entry = entries.get(key, NO_OPTIONS)
      return entry !== undefined && entry.since <= now && now < entry.until ? entry.value : undefined
    },
    set: (key, value, now, until) => {
      const size = ENTRY_OVERHEAD + (sizeOf?.(value) ?? 0)
      if (until > now) entries.set(key, { value, since: now, until }, { size })
    },
    delete: (key) => {
      entries.delete(key)
    },
    stats: () => ({ entries: entries.size, maxEntries: max, bytes: entries.calculatedSize, maxBytes: MAX_BYTES })
  }
}

/** Values by key, without an end. Beyond its maximum of entries, the least recently used entry is evicted. */
export interface RecentCache<V> {
  get(key: string): V | undefined
  set(key: string, value: V): unknown
  delete(key: string): unknown
  values(): Iterable<V>
}

export function createRecentCache<V extends object>(maxEntries: number): RecentCache<V> {
  return new LRUCache<string, V>({ max: maxEntries })
}

/** A cache key that reveals nothing of its parts; distinct lists of parts have distinct keys. */
export function digestKey(...parts: readonly string[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
