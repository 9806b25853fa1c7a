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

const MAX_BYTES = 16 * 1024 * 1024
/** Bytes of the largest entry: a few larger ones would leave no room for others. */
const MAX_ENTRY = MAX_BYTES / 256
/** Bookkeeping, beside that. */
const ENTRY_OVERHEAD = 512
/** Given each time a cache is asked, so that none is made each time. Not frozen: lru-cache writes to it. */
const NO_OPTIONS = {}

/** Characters of a text whose value is kept: what is made of a longer one may hold twenty times as much, and is rare. */
const MAX_TEXT = 1024

/** Values that never change, by the text they were made of. */
export interface Memo<V> {
  get(text: string): V | undefined
  /** Nothing is kept for a text of more than {@link MAX_TEXT} characters. */
  set(text: string, value: V): void
  stats(): CacheStats
}

interface Remembered<V> {
  readonly text: string
  readonly value: V
}

/** @param sizeOf  about how many bytes a value holds, where it is more than a few hundred */
export function createMemo<V extends object>(maxEntries: number, sizeOf?: (value: V) => number): Memo<V> {
  const entries = new LRUCache<string, Remembered<V>>({
    max: maxEntries,
    maxSize: MAX_BYTES,
    maxEntrySize: MAX_ENTRY,
    sizeCalculation: ({ value }, text) => text.length + ENTRY_OVERHEAD + (sizeOf?.(value) ?? 0)
  })
  // The one of last time is most often the one of this time, and told without a look at the others.
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
      // A copy: cut out of a longer text, it would keep all of that.
      const copy = Buffer.from(text).toString()
      const remembered = { text: copy, value }
      entries.set(copy, remembered)
      if (last?.text === copy) last = remembered
    },
    stats: () => ({ entries: entries.size, maxEntries, bytes: entries.calculatedSize, maxBytes: MAX_BYTES })
  }
}

/** Values by key, each until a time (seconds since the epoch). A clock set back beyond `since` ends them too. */
export interface TimedCache<V> {
  get(key: string, now: number): V | undefined
  /** @param bytes about how much the value holds; one of more than a 256th of the cache is not kept, nor the one before it */
  set(key: string, value: V, now: number, until: number, bytes?: number): void
  delete(key: string): void
  stats(): CacheStats
}

export function createTimedCache<V>(max: number): TimedCache<V> {
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
