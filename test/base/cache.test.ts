/** Bounded memory: what comes out is what went in, for as long and for as much as was said. */
import { describe, expect, test } from 'vitest'
import { createMemo, createTimedCache, digestKey } from '../../src/base/cache.js'

describe('by the text it was made of', () => {
  test('the latest value is there, also of the text that was asked for last', () => {
    const memo = createMemo<{ readonly n: number }>(2)
    expect(memo.get('a')).toBeUndefined()
    memo.set('a', { n: 1 })
    expect([memo.get('a'), memo.get('a'), memo.get('b')]).toEqual([{ n: 1 }, { n: 1 }, undefined])
    memo.set('a', { n: 2 })
    expect(memo.get('a')).toEqual({ n: 2 })
    memo.set('b', { n: 3 })
    expect([memo.get('b'), memo.get('a')]).toEqual([{ n: 3 }, { n: 2 }])
  })

  test('is bounded in entries and bytes, of values too where they say what they hold', () => {
    const memo = createMemo<{ readonly n: number }>(1000, ({ n }) => n)
    for (let n = 0; n < 400; n++) memo.set(`${n}`, { n: 60_000 })
    const { entries, bytes, maxBytes } = memo.stats()
    expect(entries).toBe(277)
    expect(bytes).toBeLessThanOrEqual(maxBytes)
  })

  test('keeps no value of more than a 256th of its room, so that a few cannot fill it', () => {
    const memo = createMemo<{ readonly n: number }>(1000, ({ n }) => n)
    const most = memo.stats().maxBytes / 256 - 512 - 1
    memo.set('a', { n: most + 1 })
    memo.set('b', { n: most })
    expect([memo.get('a'), memo.get('b')]).toEqual([undefined, { n: most }])
  })
})

test('nothing is kept by a text of more than 1024 characters: its value may hold much more', () => {
  const memo = createMemo<{ readonly n: number }>(1000)
  for (const length of [1024, 1025]) memo.set('x'.repeat(length), { n: length })
  expect([memo.get('x'.repeat(1024)), memo.get('x'.repeat(1025))]).toEqual([{ n: 1024 }, undefined])
})

describe('by key, until a time', () => {
  test('a value is there from its time until its end, the end excluded', () => {
    const cache = createTimedCache<string>(10)
    cache.set('k', 'v', 100, 110)
    expect([cache.get('k', 100), cache.get('k', 109.9), cache.get('k', 110)]).toEqual(['v', 'v', undefined])
  })

  test('a clock that is set back before it does not find it: it would live for too long', () => {
    const cache = createTimedCache<string>(10)
    cache.set('k', 'v', 100, 110)
    expect(cache.get('k', 99.9)).toBeUndefined()
  })

  test('a value whose end is not after its beginning is not kept, and leaves the one that is there', () => {
    const cache = createTimedCache<string>(10)
    cache.set('k', 'v', 100, 100)
    cache.set('k', 'v', 100, 50)
    expect(cache.stats()).toMatchObject({ entries: 0, maxEntries: 10 })
  })

  test('keeps no value of more than a 256th of its room, nor the one that it was to replace', () => {
    const cache = createTimedCache<number>(10, (bytes) => bytes)
    const most = cache.stats().maxBytes / 256 - 512
    cache.set('k', most, 100, 110)
    expect(cache.get('k', 100)).toBe(most)
    cache.set('k', most + 1, 100, 110)
    expect(cache.get('k', 100)).toBeUndefined()
    expect(cache.stats()).toMatchObject({ entries: 0, bytes: 0 })
  })

  test('a value that counts as false is a value', () => {
    const cache = createTimedCache<number | string | boolean>(10)
    for (const value of [0, '', false]) {
      cache.set('k', value, 0, 1)
      expect(cache.get('k', 0)).toBe(value)
    }
  })

  test('no more entries than the maximum; the one used longest ago goes first', () => {
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

  test('no two lists of parts share one, however they are cut', () => {
    const lists = [['ab'], ['a', 'b'], ['', 'ab'], ['ab', ''], ['a","b'], ['a', 'b', ''], []]
    expect(new Set(lists.map((parts) => digestKey(...parts))).size).toBe(lists.length)
  })
})
