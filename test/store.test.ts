/** The memory of what was used once: it forgets nothing before its time, is bounded, and one owner cannot fill it. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memoryOnceStore } from '../src/store.js'
import { createClock } from './support/issuer.js'

const TTL = 70

/** A store whose time stands still until told otherwise. */
function create(options: Parameters<typeof memoryOnceStore>[0] = {}, start = 1000): ReturnType<typeof setUp> {
  return setUp(options, start)
}

function setUp(options: Parameters<typeof memoryOnceStore>[0], start: number) {
  const clock = createClock(start)
  return { clock, store: memoryOnceStore({ now: clock.now, ...options }) }
}

describe('add', () => {
  test('DPP-19: answers true once, and false as long as the entry lives', () => {
    const { clock, store } = create()
    expect(store.add('a.1', TTL)).toBe(true)
    for (let age = 0; age <= TTL; age += 7) {
      expect(store.add('a.1', TTL), `${age}`).toBe(false)
      clock.advance(7)
    }
    clock.advance(1)
    expect(store.add('a.1', TTL)).toBe(true)
  })

  test('DPP-19: an entry is never forgotten early, by whatever fraction of a second it began or ends', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        fc.double({ min: 0.001, max: 400, noNaN: true }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 }),
        (start, ttl, moments) => {
          const { clock, store } = create({}, start)
          expect(store.add('a.1', ttl)).toBe(true)
          for (const moment of moments.sort((one, other) => one - other)) {
            clock.advance(start + ttl * moment - clock.now())
            void store.add(`b.${moment}`, 1)
            expect(store.add('a.1', ttl)).toBe(false)
          }
          // … and not kept for more than two seconds longer.
          clock.advance(start + ttl + 2 - clock.now())
          expect(store.add('a.1', ttl)).toBe(true)
        }
      )
    )
  })

  test('a replay does not make an entry live longer', () => {
    const { clock, store } = create()
    void store.add('a.1', TTL)
    clock.advance(60)
    expect(store.add('a.1', TTL)).toBe(false)
    clock.advance(11)
    expect(store.add('a.1', TTL)).toBe(true)
  })

  test('entries of different lives end each in its own time', () => {
    const { clock, store } = create()
    void store.add('a.long', 300)
    void store.add('a.short', 10)
    clock.advance(11)
    expect(store.add('a.short', 10)).toBe(true)
    expect(store.add('a.long', 10)).toBe(false)
  })

  test('keys that begin alike are different keys', () => {
    const { store } = create()
    for (const key of ['a', 'a.', 'a.b', 'a.b.c', 'A.b', '.a', '', '__proto__', 'constructor.x', 'toString'])
      expect(store.add(key, TTL), key).toBe(true)
    expect(store.stats().entries).toBe(10)
  })
})

describe('DPP-20: bounds', () => {
  test('DPP-20 DPP-22 (RFC 9449 §11.1): full, it throws rather than forget, and takes new ones as old ones end', () => {
    const { clock, store } = create({ maxEntries: 3 })
    for (const key of ['a.1', 'b.1', 'c.1']) expect(store.add(key, TTL)).toBe(true)
    for (const _ of [1, 2, 3]) expect(() => store.add('d.1', TTL)).toThrow('the store is full: 3 entries are alive')
    // All that were there are there still, and known as used.
    for (const key of ['a.1', 'b.1', 'c.1']) expect(store.add(key, TTL)).toBe(false)
    expect(store.stats()).toEqual({ entries: 3, maxEntries: 3 })
    clock.advance(TTL + 1)
    expect(store.add('d.1', TTL)).toBe(true)
    expect(store.stats()).toEqual({ entries: 1, maxEntries: 3 })
  })

  test('DPP-20: one owner alone cannot fill it', () => {
    const { clock, store } = create({ maxEntries: 10, maxPerOwner: 2 })
    expect([store.add('a.1', TTL), store.add('a.2', TTL)]).toEqual([true, true])
    expect(() => store.add('a.3', TTL)).toThrow('one owner has 2 live entries')
    expect(store.add('a.1', TTL)).toBe(false)
    expect(store.add('b.1', TTL)).toBe(true)
    // An owner is the text before the first dot.
    expect(store.add('a1.x', TTL)).toBe(true)
    expect(() => store.add('a', TTL)).toThrow('one owner')
    clock.advance(TTL + 1)
    expect([store.add('a.3', TTL), store.add('a.4', TTL)]).toEqual([true, true])
    expect(() => store.add('a.5', TTL)).toThrow('one owner')
  })

  test('DPP-20: as many of an owner’s places are free again as entries ended', () => {
    const { clock, store } = create({ maxPerOwner: 3 })
    for (const [key, ttl] of [
      ['a.1', 10],
      ['a.2', 20],
      ['a.3', 20]
    ] as const)
      expect(store.add(key, ttl)).toBe(true)
    clock.advance(11)
    expect(store.add('a.4', TTL)).toBe(true)
    expect(() => store.add('a.5', TTL)).toThrow('one owner')
    clock.advance(10)
    expect([store.add('a.5', TTL), store.add('a.6', TTL)]).toEqual([true, true])
    expect(() => store.add('a.7', TTL)).toThrow('one owner')
  })

  test('what was refused is not there', () => {
    const { clock, store } = create({ maxEntries: 1 })
    void store.add('a.1', 10)
    expect(() => store.add('b.1', 10)).toThrow('full')
    clock.advance(11)
    expect(store.add('b.1', 10)).toBe(true)
  })

  test('it is empty again when all has ended', () => {
    const { clock, store } = create()
    for (let i = 0; i < 5000; i++) {
      void store.add(`o${i % 50}.${i}`, (i % 300) + 1)
      if (i % 10 === 0) clock.advance(0.5)
    }
    clock.advance(302)
    void store.add('last.1', 1)
    expect(store.stats().entries).toBe(1)
  })

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '10', null])(
    'a bound of %j stops the start',
    (value) => {
      for (const name of ['maxEntries', 'maxPerOwner'])
        expect(() => memoryOnceStore({ [name]: value as number })).toThrow(
          new TypeError(`memoryOnceStore(): ${name} must be a positive integer`)
        )
    }
  )

  test('by default it holds 250 000, and 50 000 of one owner', () => {
    const { store } = create()
    expect(store.stats()).toEqual({ entries: 0, maxEntries: 250_000 })
    for (let i = 0; i < 50_000; i++) void store.add(`a.${i}`, TTL)
    expect(() => store.add('a.x', TTL)).toThrow('one owner has 50000 live entries')
    expect(store.add('b.x', TTL)).toBe(true)
  })
})

describe('clocks', () => {
  test('DPP-19: a clock set back ends no entry', () => {
    const { clock, store } = create()
    void store.add('a.1', TTL)
    clock.advance(-500)
    expect(store.add('a.1', TTL)).toBe(false)
    void store.add('b.1', TTL)
    clock.advance(500 + TTL)
    expect(store.add('a.1', TTL)).toBe(false)
    clock.advance(1)
    expect(store.add('a.1', TTL)).toBe(true)
  })

  test('a clock that answers no number ends no entry', () => {
    let time = 1000
    const store = memoryOnceStore({ now: () => time })
    void store.add('a.1', TTL)
    time = Number.NaN
    expect(store.add('a.1', TTL)).toBe(false)
    time = 1000 + TTL
    expect(store.add('a.1', TTL)).toBe(false)
  })

  test('the default clock is not the system’s: setting that ahead and back re-opens nothing', () => {
    const system = Date.now
    try {
      const store = memoryOnceStore()
      expect(store.add('a.1', TTL)).toBe(true)
      Date.now = () => system() + 1e9
      expect(store.add('b.1', TTL)).toBe(true)
      expect(store.add('a.1', TTL)).toBe(false)
      Date.now = () => system() - 1e9
      expect(store.add('a.1', TTL)).toBe(false)
      expect(store.stats().entries).toBe(2)
    } finally {
      Date.now = system
    }
  })
})
