/** What is kept of verified tokens: what comes out is what went in; tokens in use stay, those that pass through do not. */
import { describe, expect, test } from 'vitest'
import { createTokenCache, hashOf, type TokenCache } from '../../src/access-token/token-cache.js'

interface Fact {
  readonly field: string
  readonly bytes: number
  readonly goodUntil: number
  readonly n: number
}

const NOW = 1_000_000
const MAX = 10_000
const fact = (field: string, n = 0, goodUntil = NOW + 300): Fact => ({ field, bytes: 3 * field.length, goodUntil, n })
/** As different at its end as signatures are. */
const field = (n: number): string =>
  `Bearer ${n}.${Math.imul(n + 1, 0x9e3779b1) >>> 0}.${Math.imul(n + 7, 0x85ebca6b) >>> 0}`
const tail = 'x'.repeat(32)

function filled(count = MAX): TokenCache<Fact> {
  const cache = createTokenCache<Fact>()
  for (let n = 0; n < count; n++) cache.set(fact(field(n), n), NOW)
  return cache
}

const held = (cache: TokenCache<Fact>, from: number, to: number): number => {
  let found = 0
  for (let n = from; n < to; n++) if (cache.get(field(n)) !== undefined) found++
  return found
}

describe('a cached value', () => {
  test('is found by its whole field', () => {
    const cache = createTokenCache<Fact>()
    const value = fact(`Bearer a${tail}`)
    cache.set(value, NOW)
    expect(cache.get(`Bearer a${tail}`)).toBe(value)
    expect(cache.get(`Bearer a${tail}`.split('').join(''))).toBe(value)
  })

  test('is never found by another field with the same ending', () => {
    const cache = createTokenCache<Fact>()
    cache.set(fact(`Bearer a${tail}`, 1), NOW)
    for (const other of [`Bearer b${tail}`, `DPoP a${tail}`, tail, `x${tail}`]) expect(cache.get(other)).toBeUndefined()
    cache.set(fact(`Bearer b${tail}`, 2), NOW)
    expect(cache.get(`Bearer b${tail}`)?.n).toBe(2)
    expect(cache.get(`Bearer a${tail}`)).toBeUndefined()
    expect(cache.stats().entries).toBe(1)
  })

  test('may have a field that is shorter than the hashed part', () => {
    const cache = createTokenCache<Fact>()
    for (const short of ['', 'a', 'DPoP ab']) {
      cache.set(fact(short), NOW)
      expect(cache.get(short)?.field).toBe(short)
    }
    expect(cache.get('b')).toBeUndefined()
  })

  test('is not kept if its field has more than 4096 characters', () => {
    const cache = createTokenCache<Fact>()
    cache.set(fact('a'.repeat(4097)), NOW)
    expect(cache.get('a'.repeat(4097))).toBeUndefined()
    cache.set(fact('a'.repeat(4096)), NOW)
    expect(cache.get('a'.repeat(4096))?.field).toHaveLength(4096)
  })

  test('replaces the earlier value of its field, and is deleted by its field alone', () => {
    const cache = createTokenCache<Fact>()
    cache.set(fact(`a${tail}`, 1), NOW)
    cache.set({ ...fact(`a${tail}`, 2), bytes: 1000 }, NOW)
    expect(cache.get(`a${tail}`)?.n).toBe(2)
    expect(cache.stats()).toMatchObject({ entries: 1, bytes: 1512 })
    cache.delete(`b${tail}`)
    cache.delete('never there')
    expect(cache.stats().entries).toBe(1)
    cache.delete(`a${tail}`)
    expect(cache.get(`a${tail}`)).toBeUndefined()
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
  })
})

describe('limits of the cache', () => {
  test('reports its limits before the first value', () => {
    const cache = createTokenCache<Fact>()
    expect(cache.get(field(0))).toBeUndefined()
    cache.delete(field(0))
    expect(cache.stats()).toEqual({ entries: 0, maxEntries: MAX, bytes: 0, maxBytes: 32 * 1024 * 1024 })
  })

  test('holds 10 000 values of usual length, and evicts hardly any before that', () => {
    const cache = createTokenCache<Fact>()
    for (let n = 0; n < MAX; n++) cache.set({ ...fact(field(n), n), bytes: 2700 }, NOW)
    expect(held(cache, 0, MAX)).toBe(cache.stats().entries)
    expect(cache.stats().entries).toBeGreaterThan(MAX - 20)
    expect(cache.stats().maxEntries).toBe(MAX)
  })

  test('holds at most 10 000 values', () => {
    const cache = filled(30_000)
    for (let n = 30_000; n < 31_000; n++) for (let i = 0; i < 2; i++) cache.set(fact(field(n), n), NOW)
    expect(cache.stats().entries).toBe(MAX)
    expect(held(cache, 30_000, 31_000)).toBeGreaterThan(900)
  })

  test('holds at most 32 MiB, counting the stated bytes and the bookkeeping', () => {
    const cache = createTokenCache<Fact>()
    const each = 100_000 + 512
    for (let n = 0; n < 2000; n++) for (let i = 0; i < 2; i++) cache.set({ ...fact(field(n), n), bytes: 100_000 }, NOW)
    const { entries, bytes, maxBytes } = cache.stats()
    expect(maxBytes).toBe(32 * 1024 * 1024)
    expect(bytes).toBe(entries * each)
    expect(entries).toBe(Math.floor(maxBytes / each))
  })

  test('evicts other values if a value grows', () => {
    const cache = createTokenCache<Fact>()
    for (let n = 0; n < 1635; n++) cache.set({ ...fact(field(n), n), bytes: 20_000 }, NOW)
    cache.set({ ...fact(field(0), 1), bytes: 130_000 }, NOW)
    expect(cache.get(field(0))?.n).toBe(1)
    expect(cache.stats().bytes).toBeLessThanOrEqual(cache.stats().maxBytes)
    expect(cache.stats().entries).toBeLessThan(1632)
  })

  test.each([128 * 1024 - 511, 32 * 1024 * 1024, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY, Number.NaN])(
    'does not keep a value of %d bytes, and drops the earlier value of its field',
    (bytes) => {
      for (const others of [0, 1, 500]) {
        const cache = createTokenCache<Fact>()
        for (let n = 1; n <= others; n++) cache.set({ ...fact(field(n), n), bytes: 60_000 }, NOW)
        const before = cache.stats()
        cache.set(fact(field(0), 1), NOW)
        for (let i = 0; i < 3; i++) cache.set({ ...fact(field(0), 2), bytes }, NOW)
        expect(cache.get(field(0))).toBeUndefined()
        expect(cache.stats()).toEqual(before)
      }
    }
  )

  test('releases the bytes that a value was counted with, even if its size changed since', () => {
    const cache = createTokenCache<Fact>()
    const value = { field: field(0), bytes: 1000, goodUntil: NOW + 300, n: 1 }
    cache.set(value, NOW)
    value.bytes = 2000
    cache.delete(field(0))
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
  })
})

describe('a full cache', () => {
  test('does not evict values for tokens that are seen once', () => {
    const cache = filled(9900)
    const before = held(cache, 0, 9900)
    for (let n = 20_000; n < 50_000; n++) cache.set(fact(field(n), n), NOW)
    expect(held(cache, 0, 9900)).toBeGreaterThan(before - 5)
    expect(cache.stats().entries).toBe(MAX)
  })

  test('keeps a value the second time it is set, and does not evict values in use', () => {
    const cache = filled()
    while (cache.stats().entries < MAX) cache.set(fact(field(90_000 + cache.stats().entries)), NOW)
    const inUse = [5, 77, 4242].map(field)
    const kept = { once: 0, twice: 0 }
    for (let n = 20_000; n < 24_000; n++) {
      for (const one of inUse) cache.get(one)
      cache.set(fact(field(n), n), NOW)
      if (cache.get(field(n))) kept.once++
      cache.set(fact(field(n), n), NOW)
      if (cache.get(field(n))) kept.twice++
    }
    // Where a row is full before the whole is, one more than is needed goes, and the next has room.
    expect(kept.once).toBeLessThan(20)
    expect(kept.twice).toBe(4000)
    for (const one of inUse) expect(cache.get(one)).toBeDefined()
    expect(cache.stats().entries).toBeGreaterThan(MAX - 20)
  })

  test('recognizes many values that are set a second time after others', () => {
    const cache = filled(11_000)
    for (const _ of [1, 2]) for (let n = 20_000; n < 21_000; n++) cache.set(fact(field(n), n), NOW)
    // Two of the same place in what is remembered of strangers take it from each other.
    expect(held(cache, 20_000, 21_000)).toBeGreaterThan(600)
  })

  test('does not recognize a value that is set again after thousands of others', () => {
    const cache = filled(11_000)
    cache.set(fact(field(20_000)), NOW)
    for (let n = 30_000; n < 35_000; n++) cache.set(fact(field(n)), NOW)
    cache.set(fact(field(20_000)), NOW)
    expect(cache.get(field(20_000))).toBeUndefined()
  })

  test('replaces expired values at once', () => {
    const cache = filled(11_000)
    expect(cache.stats().entries).toBe(MAX)
    let kept = 0
    for (let n = 20_000; n < 23_000; n++) {
      cache.set(fact(field(n), n, NOW + 900), NOW + 300)
      if (cache.get(field(n))) kept++
    }
    // A few look only at others that came just now.
    expect(kept).toBeGreaterThan(2900)
    expect(cache.stats().entries).toBeGreaterThan(MAX - 20)
  })

  test('evicts from a full row the expired values first, then the unused ones', () => {
    const row: string[] = []
    for (let n = 0; row.length < 11; n++) if ((hashOf(field(n)) & 0x7ff8) === 0) row.push(field(n))
    const [hot, dead] = [row.slice(0, 3), row.slice(3)]
    const cache = createTokenCache<Fact>()
    for (const one of dead) cache.set(fact(one, 0, NOW + 10), NOW)
    let missed = 0
    for (let i = 0; i < 100; i++) {
      for (const one of hot) {
        if (cache.get(one)) continue
        missed++
        cache.set(fact(one, 1, NOW + 300), NOW + 10)
      }
    }
    expect(missed).toBe(3)
    for (const idle of dead) {
      const alive = createTokenCache<Fact>()
      for (const one of dead) alive.set(fact(one), NOW)
      for (const one of dead) if (one !== idle) alive.get(one)
      alive.set(fact(hot[0] as string), NOW)
      expect(alive.get(idle)).toBeUndefined()
      expect([hot[0] as string, ...dead].filter((one) => alive.get(one))).toHaveLength(8)
    }
  })

  test('treats every value as expired if the time is NaN', () => {
    const cache = filled(11_000)
    cache.set(fact(field(20_000)), Number.NaN)
    expect(cache.get(field(20_000))).toBeDefined()
  })

  test('finds most of a working set that is much larger than the cache', () => {
    const cache = createTokenCache<Fact>()
    let found = 0
    for (let round = 0; round < 3; round++) {
      found = 0
      for (let n = 0; n < 12_000; n++) {
        if (cache.get(field(n))) found++
        else cache.set(fact(field(n), n), NOW)
      }
    }
    expect(found).toBeGreaterThan(9900)
  })
})
