/**
 * Verified tokens by the `Authorization` field that brought them: facts, as in `cache.ts`, on the path of every request.
 *
 * Found by a hash of the field's end, because hashing all of a fresh string of 900 characters costs more than everything
 * else on a hit; then the *whole* field is compared, so that a collision can only be a miss. When it is full, a token that
 * nobody has sent lately is not kept at its first sight: those that pass through once neither displace the ones in use
 * nor leave anything to be collected.
 */
import type { CacheStats } from '../base/cache.js'

/** What is kept. */
export interface Kept {
  /** By which it is found, to the letter. */
  readonly field: string
  /** About how much it holds. */
  readonly bytes: number
  /** Seconds since the epoch: of no use from then on. */
  readonly goodUntil: number
}

export interface TokenCache<V> {
  get(field: string): V | undefined
  /** @param now seconds since the epoch */
  set(value: V, now: number): void
  delete(field: string): void
  stats(): CacheStats
}

const MAX_TOKENS = 10_000
/** Room for {@link MAX_TOKENS} of a usual length. */
const MAX_BYTES = 32 * 1024 * 1024
/** With a longer token, the field is verified each time. */
const MAX_LENGTH = 4096
/** What holds more is not kept: a few of them would leave no room for others. */
const MAX_VALUE = MAX_BYTES / 256
/** Bookkeeping, beside what a value says that it holds. */
const OVERHEAD = 512
/** Characters of the field's end that are hashed: 72 bits of the token's signature. */
const TAIL = 12
/** Places, a power of two: three times as many as are ever taken, so that hardly a row is full before all is. */
const PLACES = 32_768
/** Places that one hash may have. */
const ROW = 8
/** Values that are looked at for each that asks for room. */
const LOOKS = 4
/** First sights that are remembered by their hash, while the cache is full. */
const STRANGERS = 4096

export function createTokenCache<V extends Kept>(): TokenCache<V> {
  // With the first token: a server that sees none needs no room for ten thousand.
  let table: TokenCache<V> | undefined
  return {
    get: (field) => table?.get(field),
    set: (value, now) => {
      table ??= createTable()
      table.set(value, now)
    },
    delete: (field) => table?.delete(field),
    stats: () => table?.stats() ?? { entries: 0, maxEntries: MAX_TOKENS, bytes: 0, maxBytes: MAX_BYTES }
  }
}

function createTable<V extends Kept>(): TokenCache<V> {
  const values = Array.from<V | undefined>({ length: PLACES })
  /** Of the value in each place; 0 where there is none. */
  const hashes = new Int32Array(PLACES)
  /** The same of each, beside one another: looking through them is cheap, and through the values is not. */
  const ends = new Float64Array(PLACES)
  /** 1: found since the last time that room was looked for. */
  const used = new Uint8Array(PLACES)
  /** What each counted for when it was put there. */
  const sizes = new Float64Array(PLACES)
  const strangers = createStrangers()
  let size = 0
  let bytes = 0
  /** Goes round the places: where room was looked for last. */
  let hand = 0

  /** The place in a hash's row with this number in it, or -1. */
  const placeOf = (hash: number, wanted: number): number => {
    const row = hash & (PLACES - ROW)
    for (let place = row; place < row + ROW; place++) if (hashes[place] === wanted) return place
    return -1
  }

  const find = (field: string): number => {
    const hash = hashOf(field)
    const place = placeOf(hash, hash)
    return place >= 0 && values[place]?.field === field ? place : -1
  }

  const drop = (place: number): void => {
    bytes -= sizes[place] as number
    size--
    values[place] = undefined
    hashes[place] = 0
  }

  /** The next place that is taken, where one is. */
  const next = (): number => {
    do hand = (hand + 1) & (PLACES - 1)
    while (hashes[hand] === 0)
    return hand
  }

  /** Those whose time is over make room for anybody. A few are enough: the next one looks at the next. */
  const dropExpired = (now: number): void => {
    for (let i = 0; i < LOOKS; i++) {
      const place = next()
      if (now < (ends[place] as number)) continue
      drop(place)
      break
    }
  }

  /** Drops one that nobody has used since it was looked at last. */
  const evict = (): void => {
    while (used[next()] === 1) used[hand] = 0
    drop(hand)
  }

  /** Of a row without a free place, the one that is missed least. */
  const leastMissed = (row: number, now: number): number => {
    let least = row
    for (let place = row; place < row + ROW; place++) {
      if (!(now < (ends[place] as number))) return place
      if (used[place] === 0) least = place
    }
    return least
  }

  const isFull = (more: number): boolean => size > 0 && (size >= MAX_TOKENS || bytes + more > MAX_BYTES)

  return {
    get: (field) => {
      const place = find(field)
      if (place < 0) return undefined
      used[place] = 1
      return values[place]
    },
    set: (value, now) => {
      const hash = hashOf(value.field)
      const held = value.bytes + OVERHEAD
      const before = placeOf(hash, hash)
      if (before >= 0) drop(before)
      // Also for a number that is none.
      if (value.field.length > MAX_LENGTH || !(held <= MAX_VALUE)) return
      if (before < 0 && isFull(held)) {
        dropExpired(now)
        if (isFull(held) && !strangers.knew(hash)) return
      }
      while (isFull(held)) evict()
      let place = placeOf(hash, 0)
      if (place < 0) {
        place = leastMissed(hash & (PLACES - ROW), now)
        drop(place)
      }
      values[place] = value
      hashes[place] = hash
      ends[place] = value.goodUntil
      used[place] = 0
      sizes[place] = held
      size++
      bytes += held
    },
    delete: (field) => {
      const place = find(field)
      if (place >= 0) drop(place)
    },
    stats: () => ({ entries: size, maxEntries: MAX_TOKENS, bytes, maxBytes: MAX_BYTES })
  }
}

/** Whoever was turned away lately, by hash: known at the second time. */
function createStrangers(): { knew(hash: number): boolean } {
  const seen = new Int32Array(STRANGERS)
  let count = 0
  return {
    knew: (hash) => {
      const place = (hash >>> 15) & (STRANGERS - 1)
      if (seen[place] === hash) return true
      // All are forgotten after so many: else one that comes after hours would be known.
      if (++count > STRANGERS) {
        seen.fill(0)
        count = 1
      }
      seen[place] = hash
      return false
    }
  }
}

/** 32 bits, and not 0. */
export function hashOf(field: string): number {
  const { length } = field
  let hash = 1
  for (let i = length > TAIL ? length - TAIL : 0; i < length; i++)
    hash = Math.imul(hash, 0x01000193) ^ field.charCodeAt(i)
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) || 1
}
