/** An {@link OnceStore} for one process. Several processes need another implementation, such as `redisStore()`. */

import { requireOptions } from '../base/options/spelling.js'
import { world } from '../base/world.js'
import type { OnceStore } from './stores.js'

/** Limits of a `memoryOnceStore()`. A full store throws: evicting an entry early would allow a second use. */
export interface MemoryOnceStoreOptions {
  /** Maximum live entries. Default 250,000, up to about 60 MiB. */
  readonly maxEntries?: number
  /**
   * Maximum live entries of one owner, in addition to the share that limits every owner. The owner is the text before a
   * key's first `.`; for DPoP, a user or client. Default: only the share.
   */
  readonly maxPerOwner?: number
  /** The clock for `ttl`, in seconds from any start. Default: a monotonic clock. */
  readonly now?: () => number
}

/** How full a {@link memoryOnceStore} is. */
export interface OnceStoreStats {
  readonly entries: number
  readonly maxEntries: number
  /** Owners that have live entries. */
  readonly owners: number
}

/**
 * An {@link OnceStore} throws this if the key's owner has used its share while the store is healthy. The client gets
 * 429 with Retry-After and without a challenge (RFC 6585 §4). Every other error of a store is an outage: 503.
 *
 * Recognized by its `name`, so the error may come from another copy of this package.
 */
export class OwnerQuotaExceeded extends Error {
  override readonly name = 'OwnerQuotaExceeded'
  /** Seconds until the owner may have room again. */
  readonly retryAfter: number

  /** @param retryAfter seconds; default 1 */
  constructor(retryAfter: number = 1) {
    super('the owner has used its share of the store')
    this.retryAfter = retryAfter
  }
}

export function isOwnerQuotaExceeded(error: unknown): error is OwnerQuotaExceeded {
  return (
    error instanceof Error &&
    error.name === 'OwnerQuotaExceeded' &&
    Number.isFinite((error as Partial<OwnerQuotaExceeded>).retryAfter)
  )
}

/**
 * Entries that an owner may hold, as a fraction of the free places: one fifth of the places that other owners leave.
 * With `n` owners at their limit, `1 / (1 + n / 4)` of all places stays free.
 */
const SHARE_OF_FREE = 1 / 4

/** Seconds. */
const monotonic = (): number => world.monotonic() / 1000

interface Owner {
  held: number
  /** The second in which the owner's first live entry ends, or an earlier one. */
  next: number
}

/**
 * Creates an {@link OnceStore} in memory, for one process. It never evicts an entry before its time.
 *
 * An owner may hold a quarter as many entries as there are free places, and always one: 50,000 of 250,000 if it is
 * alone. Five owners at their limit leave 44 % free, five hundred 0.8 %, of which the next owner may take a fifth.
 * Filling the store takes about as many owners as it has places.
 *
 * Sizing: entries = proofs per second × seconds that each is remembered: `proofLifetime` + 10 s, with DPoP nonces up to
 * 310 s. Multiply the busiest owner's entries by five, and take the larger figure.
 *
 * `add` throws {@link OwnerQuotaExceeded} for an owner over its share (429), and another error when full (503).
 *
 * @throws {TypeError} at once, for a limit that is not a positive integer
 */
export function memoryOnceStore(options: MemoryOnceStoreOptions = {}): OnceStore & { stats(): OnceStoreStats } {
  requireOptions('memoryOnceStore()', options, { maxEntries: 250_000, maxPerOwner: 10_000, now: monotonic })
  const { maxEntries = 250_000, maxPerOwner = maxEntries, now = monotonic } = options
  for (const [name, value] of Object.entries({ maxEntries, maxPerOwner })) {
    if (!Number.isInteger(value) || value < 1)
      throw new TypeError(`memoryOnceStore(): ${name} must be a positive integer, not ${value}`)
  }
  const keys = new Set<string>()
  const owners = new Map<string, Owner>()
  /** Keys by the second in which they end, so that expiry needs no search. */
  const ending = new Map<number, string[]>()
  let swept = Math.floor(now())

  const forget = (key: string, second: number): void => {
    keys.delete(key)
    const name = ownerOf(key)
    const owner = owners.get(name)
    if (owner === undefined) return
    owner.held--
    if (owner.held === 0) owners.delete(name)
    // Seconds are swept in any order, so the owner's next end is only known to be later than this one.
    else if (owner.next === second) owner.next = second + 1
  }
  const sweep = (time: number): void => {
    // Written with `!`, so that it also returns for NaN.
    if (!(time > swept)) return
    swept = time
    for (const [second, ended] of ending) {
      if (second >= time) continue
      for (const key of ended) forget(key, second)
      ending.delete(second)
    }
  }
  const requireRoom = (owner: Owner | undefined, time: number): void => {
    const free = maxEntries - keys.size
    if (free <= 0) throw new Error(`the store is full: ${maxEntries} entries have not expired yet`)
    if (owner === undefined) return
    if (owner.held >= Math.min(maxPerOwner, Math.max(1, Math.floor(free * SHARE_OF_FREE))))
      throw new OwnerQuotaExceeded(Math.max(1, Math.ceil(owner.next + 1 - time)))
  }

  return {
    add: (key, ttl) => {
      const time = now()
      sweep(Math.floor(time))
      if (keys.has(key)) return false
      const name = ownerOf(key)
      const owner = owners.get(name)
      requireRoom(owner, time)
      keys.add(key)
      const second = Math.floor(time + ttl)
      if (owner === undefined) owners.set(name, { held: 1, next: second })
      else {
        owner.held++
        owner.next = Math.min(owner.next, second)
      }
      const others = ending.get(second)
      if (others) others.push(key)
      else ending.set(second, [key])
      return true
    },
    stats: () => ({ entries: keys.size, maxEntries, owners: owners.size })
  }
}

function ownerOf(key: string): string {
  const dot = key.indexOf('.')
  return dot < 0 ? key : key.slice(0, dot)
}
