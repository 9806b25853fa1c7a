/** Bounded memory: what comes out is what went in, for as long and for as much as was said. */
import { describe, expect, test } from 'vitest'
import { createTimedCache, createTokenCache, digestKey } from '../src/cache.js'

interface Fact {
  readonly token: string
  readonly bytes: number
  readonly n: number
}

const fact = (token: string, n: number): Fact => ({ token, bytes: 3 * token.length, n })

const tail = 'x'.repeat(32)

describe('by token', () => {
  test('finds a value by the whole token', () => {
    const cache = createTokenCache<Fact>()
    const value = fact(`a${tail}`, 1)
    cache.set(value)
    expect(cache.get(`a${tail}`)).toBe(value)
    expect(cache.get(`a${tail}`.split('').join(''))).toBe(value)
  })

  test('tokens with one ending never answer for each other: the whole token is compared', () => {
    const cache = createTokenCache<Fact>()
    cache.set(fact(`a${tail}`, 1))
    expect(cache.get(`b${tail}`)).toBeUndefined()
    expect(cache.get(tail)).toBeUndefined()
    cache.set(fact(`b${tail}`, 2))
    expect(cache.get(`b${tail}`)?.n).toBe(2)
    expect(cache.get(`a${tail}`)).toBeUndefined()
  })

  test('a token shorter than its tail is one like any other', () => {
    const cache = createTokenCache<Fact>()
    cache.set(fact('short', 1))
    expect(cache.get('short')?.n).toBe(1)
    expect(cache.get('hort')).toBeUndefined()
  })

  test('a token of more than 4096 characters is not kept', () => {
    const cache = createTokenCache<Fact>()
    cache.set(fact('a'.repeat(4097), 1))
    expect(cache.get('a'.repeat(4097))).toBeUndefined()
    cache.set(fact('a'.repeat(4096), 1))
    expect(cache.get('a'.repeat(4096))?.n).toBe(1)
  })

  test('10 000 entries at most; the one used longest ago goes first', () => {
    const cache = createTokenCache<Fact>()
    for (let n = 0; n < 10_000; n++) cache.set(fact(`token-${n}`, n))
    expect(cache.get('token-0')?.n).toBe(0)
    cache.set(fact('one-more', -1))
    expect(cache.stats()).toMatchObject({ entries: 10_000, maxEntries: 10_000 })
    expect(cache.get('token-0')?.n).toBe(0)
    expect(cache.get('token-1')).toBeUndefined()
  })

  test('10 000 tokens of a usual length have room', () => {
    const cache = createTokenCache<Fact>()
    for (let n = 0; n < 10_000; n++) cache.set(fact(`${n}`.padStart(900, '-'), n))
    expect(cache.stats().entries).toBe(10_000)
  })

  test('32 MiB at most, what a value says that it holds and bookkeeping counted', () => {
    const cache = createTokenCache<Fact>()
    for (let n = 0; n < 9000; n++) cache.set(fact(`${n}`.padStart(4096, '-'), n))
    const { entries, bytes, maxBytes } = cache.stats()
    const each = 3 * 4096 + 512
    expect(maxBytes).toBe(32 * 1024 * 1024)
    expect(bytes).toBe(entries * each)
    expect(entries).toBe(Math.floor((maxBytes as number) / each))
  })
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
