/**
 * What must be known by every process that shares a duty. Here is the memory of one process; another
 * {@link OnceStore} stands for a fleet.
 */
import type { OnceStore } from './types.js'

/** Bounds of a `memoryOnceStore()`. Full, it throws: what it forgot could be used twice. */
export interface MemoryOnceStoreOptions {
  /** Entries in all. Default 250 000, up to about 45 MiB. */
  readonly maxEntries?: number
  /** Entries of one owner (the text before a key's first `.`: for DPoP, the client's key). Default 50 000. */
  readonly maxPerOwner?: number
  /** Seconds, from any start: the clock that `ttl` is counted by. Default: one that nobody can set, ahead or back. */
  readonly now?: () => number
}

/** How full a {@link memoryOnceStore} is. */
export interface OnceStoreStats {
  readonly entries: number
  readonly maxEntries: number
}

/**
 * An {@link OnceStore} in memory, for one process. It never forgets an entry before its time to make room: when it is
 * full, `add` throws, and the caller answers 503. One owner alone cannot fill it.
 *
 * Sizing: entries = proofs a second × how long each is remembered: `proofLifetime` + 10 s, with DPoP nonces up to 310 s.
 *
 * @throws {TypeError} at once, for a bound that is no positive integer
 */
export function memoryOnceStore({
  maxEntries = 250_000,
  maxPerOwner = 50_000,
  now = () => performance.now() / 1000
}: MemoryOnceStoreOptions = {}): OnceStore & { stats(): OnceStoreStats } {
  for (const [name, value] of Object.entries({ maxEntries, maxPerOwner })) {
    if (!Number.isInteger(value) || value < 1)
      throw new TypeError(`memoryOnceStore(): ${name} must be a positive integer`)
  }
  const keys = new Set<string>()
  const perOwner = new Map<string, number>()
  /** Keys by the second in which they end, so that forgetting costs no search. */
  const ending = new Map<number, string[]>()
  let swept = Math.floor(now())

  const forget = (key: string): void => {
    keys.delete(key)
    const owner = ownerOf(key)
    const left = (perOwner.get(owner) ?? 1) - 1
    if (left > 0) perOwner.set(owner, left)
    else perOwner.delete(owner)
  }
  const sweep = (time: number): void => {
    // Also for a time that is no number.
    if (!(time > swept)) return
    swept = time
    for (const [second, ended] of ending) {
      if (second >= time) continue
      for (const key of ended) forget(key)
      ending.delete(second)
    }
  }

  return {
    add: (key, ttl) => {
      const time = now()
      sweep(Math.floor(time))
      if (keys.has(key)) return false
      const owner = ownerOf(key)
      const held = perOwner.get(owner) ?? 0
      if (keys.size >= maxEntries) throw new Error(`the store is full: ${maxEntries} entries are alive`)
      if (held >= maxPerOwner) throw new Error(`one owner has ${maxPerOwner} live entries`)
      keys.add(key)
      perOwner.set(owner, held + 1)
      const second = Math.floor(time + ttl)
      const others = ending.get(second)
      if (others) others.push(key)
      else ending.set(second, [key])
      return true
    },
    stats: () => ({ entries: keys.size, maxEntries })
  }
}

function ownerOf(key: string): string {
  const dot = key.indexOf('.')
  return dot < 0 ? key : key.slice(0, dot)
}
