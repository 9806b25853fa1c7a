/** Bounded memory: what comes out is what went in, for as long and for as much as was said. */
import { describe, expect, test } from 'vitest'
import { createMemo, createTimedCache, digestKey } from '../../src/base/cache.js'

describe('a memo, by text', () => {
  test('returns the latest value, also of the text that was looked up last', () => {
    const memo = createMemo<{ readonly n: number }>(2)
    expect(memo.get('a')).toBeUndefined()
    memo.set('a', { n: 1 })
    expect([memo.get('a'), memo.get('a'), memo.get('b')]).toEqual([{ n: 1 }, { n: 1 }, undefined])
    memo.set('a', { n: 2 })
    expect(memo.get('a')).toEqual({ n: 2 })
    memo.set('b', { n: 3 })
    expect([memo.get('b'), memo.get('a')]).toEqual([{ n: 3 }, { n: 2 }])
  })

  test('is limited in entries and bytes, and counts the bytes of values that state them', () => {
    const memo = createMemo<{ readonly n: number }>(1000, ({ n }) => n)
    for (let n = 0; n < 400; n++) memo.set(`${n}`, { n: 60_000 })
    const { entries, bytes, maxBytes } = memo.stats()
    expect(entries).toBe(277)
    expect(bytes).toBeLessThanOrEqual(maxBytes)
  })

  test('does not keep a value of more than a 256th of its room, so that a few values cannot fill it', () => {
    const memo = createMemo<{ readonly n: number }>(1000, ({ n }) => n)
    const most = memo.stats().maxBytes / 256 - 512 - 1
    memo.set('a', { n: most + 1 })
    memo.set('b', { n: most })
    expect([memo.get('a'), memo.get('b')]).toEqual([undefined, { n: most }])
  })
})

test('a memo does not keep a value under a text of more than 1024 characters, because its value may use much more memory', () => {
  const memo = createMemo<{ readonly n: number }>(1000)
  for (const length of [1024, 1025]) memo.set('x'.repeat(length), { n: length })
  expect([memo.get('x'.repeat(1024)), memo.get('x'.repeat(1025))]).toEqual([{ n: 1024 }, undefined])
})

describe('a timed cache', () => {
  test('returns a value from its time until before its end', () => {
    const cache = createTimedCache<string>(10)
    cache.set('k', 'v', 100, 110)
    expect([cache.get('k', 100), cache.get('k', 109.9), cache.get('k', 110)]).toEqual(['v', 'v', undefined])
  })

  test('does not return a value if the clock is set back before its time, because it would live too long', () => {
    const cache = createTimedCache<string>(10)
    cache.set('k', 'v', 100, 110)
    expect(cache.get('k', 99.9)).toBeUndefined()
  })

  test('does not keep a value that ends before it begins, and leaves the earlier value', () => {
    const cache = createTimedCache<string>(10)
    cache.set('k', 'v', 100, 100)
    cache.set('k', 'v', 100, 50)
    expect(cache.stats()).toMatchObject({ entries: 0, maxEntries: 10 })
  })

  test('does not keep a value of more than a 256th of its room, and drops the value that it was to replace', () => {
    const cache = createTimedCache<number>(10, (bytes) => bytes)
    const most = cache.stats().maxBytes / 256 - 512
    cache.set('k', most, 100, 110)
    expect(cache.get('k', 100)).toBe(most)
    cache.set('k', most + 1, 100, 110)
    expect(cache.get('k', 100)).toBeUndefined()
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
  })

  test('keeps falsy values', () => {
    const cache = createTimedCache<number | string | boolean>(10)
    for (const value of [0, '', false]) {
      cache.set('k', value, 0, 1)
      expect(cache.get('k', 0)).toBe(value)
    }
  })

  test('holds at most the maximum of entries, and evicts the least recently used first', () => {
    const cache = createTimedCache<number>(3)
    for (const n of [1, 2, 3]) cache.set(`${n}`, n, 0, 10)
    cache.get('1', 5)
    cache.set('4', 4, 0, 10)
    expect(['1', '2', '3', '4'].map((key) => cache.get(key, 5))).toEqual([1, undefined, 3, 4])
    expect(cache.stats()).toMatchObject({ entries: 3, maxEntries: 3 })
  })
})

describe('digestKey', () => {
  test('is a SHA-256 in base64url, the same for the same parts', () => {
    expect(digestKey('a', 'b')).toMatch(/^[\w-]{43}$/)
    expect(digestKey('a', 'b')).toBe(digestKey('a', 'b'))
  })

  test('distinct lists of parts have distinct keys, however the parts are cut', () => {
    const lists = [['ab'], ['a', 'b'], ['', 'ab'], ['ab', ''], ['a","b'], ['a', 'b', ''], []]
    expect(new Set(lists.map((parts) => digestKey(...parts))).size).toBe(lists.length)
  })
})
