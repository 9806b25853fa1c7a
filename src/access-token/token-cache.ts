/**
 * Verified tokens, found by the `Authorization` field that carried them. Every request looks here first. Like
 * `cache.ts`, the cache holds facts: on every hit the caller checks what may have changed.
 *
 * A look-up hashes only the end of the field, because hashing all of a new string of 900 characters costs more than the
 * rest of a hit. It then compares the *whole* field, so a collision can only cause a miss. A full cache keeps a new
 * token only when it sees it a second time: tokens that are sent once neither evict tokens in use nor leave garbage to
 * collect.
 */
import type { CacheStats } from '../base/cache.js'

/** A value that the cache holds. */
export interface Kept {
  /** The look-up key, compared exactly. */
  readonly field: string
  /** Approximate bytes of memory that the value holds. */
  readonly bytes: number
  /** Seconds since the epoch at which the value expires. */
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
/** Bytes of all entries together: room for {@link MAX_TOKENS} tokens of usual length. */
const MAX_BYTES = 32 * 1024 * 1024
/** Maximum characters of a cached field. A token in a longer field is verified on every request. */
const MAX_LENGTH = 4096
/** Maximum bytes of one entry: a few larger entries would leave no room for others. */
const MAX_VALUE = MAX_BYTES / 256
/** Bytes of bookkeeping per entry, added to the bytes that the value states. */
const OVERHEAD = 512
/** Characters of the field's end that are hashed: 72 bits of the token's signature. */
const TAIL = 12
/** Slots, a power of two: over three times {@link MAX_TOKENS}, so a row is rarely full before the cache is. */
const PLACES = 32_768
/** Slots that one hash can use. */
const ROW = 8
/** Entries checked for expiry when a new token needs room. */
const LOOKS = 4
/** Hashes of rejected new tokens that a full cache remembers. */
const STRANGERS = 4096

export function createTokenCache<V extends Kept>(): TokenCache<V> {
  // Allocated with the first token: a server that sees no token needs no room for ten thousand.
  let table: Table<V> | undefined
  return {
    get: (field) => table?.get(field),
    set: (value, now) => {
      table ??= new Table()
      table.set(value, now)
    },
    delete: (field) => table?.delete(field),
    stats: () => table?.stats() ?? { entries: 0, maxEntries: MAX_TOKENS, bytes: 0, maxBytes: MAX_BYTES }
  }
}

/** Open addressing in parallel arrays: each hash has a row of {@link ROW} slots. */
class Table<V extends Kept> implements TokenCache<V> {
  private readonly values = Array.from<V | undefined>({ length: PLACES })
  /** The hash of each slot's value; 0 marks an empty slot. */
  private readonly hashes = new Int32Array(PLACES)
  /** `goodUntil` of each slot's value, in one array: scanning it is cheap, and loading each value is not. */
  private readonly ends = new Float64Array(PLACES)
  /** 1 if the value was looked up since the eviction hand last passed it. */
  private readonly used = new Uint8Array(PLACES)
  /** The bytes that each slot's value was counted with. */
  private readonly sizes = new Float64Array(PLACES)
  private readonly strangers = createStrangers()
  private size = 0
  private bytes = 0
  /** The slot at which the last search for room ended; it cycles through all slots (the clock algorithm). */
  private hand = 0

  /** Every request calls this: it reads each array once and repeats {@link placeOf} instead of calling it. */
  get(field: string): V | undefined {
    const { hashes } = this
    const hash = hashOf(field)
    const row = hash & (PLACES - ROW)
    for (let place = row; place < row + ROW; place++) {
      if (hashes[place] !== hash) continue
      const value = this.values[place] as V
      if (value.field !== field) return undefined
      this.used[place] = 1
      return value
    }
    return undefined
  }

  set(value: V, now: number): void {
    const hash = hashOf(value.field)
    const held = value.bytes + OVERHEAD
    const before = this.placeOf(hash, hash)
    if (before >= 0) this.drop(before)
    // Written with `!`, so that NaN is refused too.
    if (value.field.length > MAX_LENGTH || !(held <= MAX_VALUE)) return
    if (before < 0 && this.isFull(held)) {
      this.dropExpired(now)
      if (this.isFull(held) && !this.strangers.knew(hash)) return
    }
    while (this.isFull(held)) this.evict()
    this.put(this.makePlace(hash, now), hash, value, held)
  }

  delete(field: string): void {
    const hash = hashOf(field)
    const place = this.placeOf(hash, hash)
    if (place >= 0 && this.values[place]?.field === field) this.drop(place)
  }

  stats(): CacheStats {
    return { entries: this.size, maxEntries: MAX_TOKENS, bytes: this.bytes, maxBytes: MAX_BYTES }
  }

  /** The slot in the row of `hash` that contains `wanted`, or -1. */
  private placeOf(hash: number, wanted: number): number {
    const { hashes } = this
    const row = hash & (PLACES - ROW)
    for (let place = row; place < row + ROW; place++) if (hashes[place] === wanted) return place
    return -1
  }

  /** An empty slot in the row of `hash`; drops an entry if the row is full. */
  private makePlace(hash: number, now: number): number {
    const free = this.placeOf(hash, 0)
    if (free >= 0) return free
    const place = this.leastMissed(hash & (PLACES - ROW), now)
    this.drop(place)
    return place
  }

  private put(place: number, hash: number, value: V, held: number): void {
    this.values[place] = value
    this.hashes[place] = hash
    this.ends[place] = value.goodUntil
    this.used[place] = 0
    this.sizes[place] = held
    this.size++
    this.bytes += held
  }

  private drop(place: number): void {
    this.bytes -= this.sizes[place] as number
    this.size--
    this.values[place] = undefined
    this.hashes[place] = 0
  }

  private isFull(more: number): boolean {
    return this.size > 0 && (this.size >= MAX_TOKENS || this.bytes + more > MAX_BYTES)
  }

  /** Moves the hand to the next occupied slot. Does NOT end on an empty table. */
  private next(): number {
    do this.hand = (this.hand + 1) & (PLACES - 1)
    while (this.hashes[this.hand] === 0)
    return this.hand
  }

  /** Drops the first expired entry among the next {@link LOOKS}. The next call continues from there. */
  private dropExpired(now: number): void {
    for (let i = 0; i < LOOKS; i++) {
      const place = this.next()
      if (now < (this.ends[place] as number)) continue
      this.drop(place)
      break
    }
  }

  /** Drops an entry that no request has looked up since the hand last passed it. */
  private evict(): void {
    while (this.used[this.next()] === 1) this.used[this.hand] = 0
    this.drop(this.hand)
  }

  /** The slot to reuse in a full row: an expired entry, else an unused one, else the first. */
  private leastMissed(row: number, now: number): number {
    let least = row
    for (let place = row; place < row + ROW; place++) {
      if (!(now < (this.ends[place] as number))) return place
      if (this.used[place] === 0) least = place
    }
    return least
  }
}

/** Remembers by hash which new tokens a full cache did not keep, so that it keeps them the second time. */
function createStrangers(): { knew(hash: number): boolean } {
  const seen = new Int32Array(STRANGERS)
  let count = 0
  return {
    knew: (hash) => {
      const place = (hash >>> 15) & (STRANGERS - 1)
      if (seen[place] === hash) return true
      // Reset after STRANGERS entries, so a token from hours ago does not count as recent.
      if (++count > STRANGERS) {
        seen.fill(0)
        count = 1
      }
      seen[place] = hash
      return false
    }
  }
}

/** A 32-bit hash of the field's last {@link TAIL} characters; never 0, which marks an empty slot. */
export function hashOf(field: string): number {
  const { length } = field
  let hash = 1
  for (let i = length > TAIL ? length - TAIL : 0; i < length; i++)
    hash = Math.imul(hash, 0x01000193) ^ field.charCodeAt(i)
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) || 1
}
