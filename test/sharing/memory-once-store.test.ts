/** The memory of what was used once: it forgets nothing before its time, is bounded, and one owner cannot fill it. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memoryOnceStore, OwnerQuotaExceeded } from '../../src/sharing/memory-once-store.js'
import { createClock } from '../support/issuer.js'

const TTL = 70

/** A store whose time stands still until told otherwise. */
function create(options: Parameters<typeof memoryOnceStore>[0] = {}, start = 1000): ReturnType<typeof setUp> {
  return setUp(options, start)
}

function setUp(options: Parameters<typeof memoryOnceStore>[0], start: number) {
  const clock = createClock(start)
  return { clock, store: memoryOnceStore({ now: clock.now, ...options }) }
}

type Store = ReturnType<typeof memoryOnceStore>

/** What `add` says, or which of its errors it throws. */
function addOr(store: Store, key: string, ttl = TTL): unknown {
  try {
    return store.add(key, ttl)
  } catch (error) {
    return error instanceof OwnerQuotaExceeded ? 'share' : 'full'
  }
}

function tryAdd(store: Store, key: string): boolean {
  return addOr(store, key) === true
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
    for (const _ of [1, 2, 3])
      expect(() => store.add('d.1', TTL)).toThrow('the store is full: 3 entries have not expired yet')
    // All that were there are there still, and known as used.
    for (const key of ['a.1', 'b.1', 'c.1']) expect(store.add(key, TTL)).toBe(false)
    expect(store.stats()).toEqual({ entries: 3, maxEntries: 3, owners: 3 })
    clock.advance(TTL + 1)
    expect(store.add('d.1', TTL)).toBe(true)
    expect(store.stats()).toEqual({ entries: 1, maxEntries: 3, owners: 1 })
  })

  test('DPP-20: one owner alone cannot fill it', () => {
    const { clock, store } = create({ maxEntries: 10, maxPerOwner: 2 })
    expect([store.add('a.1', TTL), store.add('a.2', TTL)]).toEqual([true, true])
    expect(() => store.add('a.3', TTL)).toThrow(OwnerQuotaExceeded)
    expect(store.add('a.1', TTL)).toBe(false)
    expect(store.add('b.1', TTL)).toBe(true)
    // An owner is the text before the first dot.
    expect(store.add('a1.x', TTL)).toBe(true)
    expect(() => store.add('a', TTL)).toThrow(OwnerQuotaExceeded)
    clock.advance(TTL + 1)
    expect([store.add('a.3', TTL), store.add('a.4', TTL)]).toEqual([true, true])
    expect(() => store.add('a.5', TTL)).toThrow(OwnerQuotaExceeded)
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
    expect(() => store.add('a.5', TTL)).toThrow(OwnerQuotaExceeded)
    clock.advance(10)
    expect([store.add('a.5', TTL), store.add('a.6', TTL)]).toEqual([true, true])
    expect(() => store.add('a.7', TTL)).toThrow(OwnerQuotaExceeded)
  })

  test.each([
    [1, 20_000],
    [5, 44_000],
    [500, 100_000]
  ])('DPP-20: %i owners at their limit leave a new owner its fifth of the rest', (attackers, maxEntries) => {
    const { store } = create({ maxEntries })
    let added = true
    for (let i = 0; added; i++) {
      added = false
      for (let attacker = 0; attacker < attackers; attacker++) added = tryAdd(store, `a${attacker}.${i}`) || added
    }
    const free = maxEntries - store.stats().entries
    expect(free).toBeGreaterThanOrEqual(Math.floor(maxEntries / (1 + attackers / 4)))
    let served = 0
    while (tryAdd(store, `victim.${served}`)) served++
    expect(served).toBeGreaterThanOrEqual(Math.floor(free / 5))
  })

  test('DPP-20: an owner that has nothing is always given one entry, until the store is full', () => {
    const { store } = create({ maxEntries: 5 })
    for (const owner of ['a', 'b', 'c', 'd', 'e']) {
      expect(store.add(`${owner}.1`, TTL)).toBe(true)
      if (owner !== 'e') expect(() => store.add(`${owner}.2`, TTL)).toThrow(OwnerQuotaExceeded)
    }
    expect(() => store.add('a.2', TTL)).toThrow('the store is full')
    expect(() => store.add('f.1', TTL)).toThrow('the store is full')
  })

  test('DPP-20: an owner over its share is told when its first entry ends, in whole seconds', () => {
    const { clock, store } = create({ maxPerOwner: 2 })
    void store.add('a.long', 50)
    void store.add('a.short', 20)
    let serial = 0
    const retryAfter = (): number => {
      try {
        void store.add(`a.${serial++}`, TTL)
      } catch (error) {
        return (error as OwnerQuotaExceeded).retryAfter
      }
      return 0
    }
    expect(retryAfter()).toBe(21)
    clock.advance(19.5)
    expect(retryAfter()).toBe(2)
    clock.advance(1.5)
    expect(retryAfter()).toBe(0)
    expect(retryAfter()).toBeGreaterThanOrEqual(1)
  })

  test('DPP-19 DPP-20: no sequence of adds forgets an entry early, or lets the count of an owner drift', () => {
    const step = fc.record({
      owner: fc.constantFrom('a', 'b', 'c', ''),
      id: fc.integer({ min: 0, max: 12 }),
      ttl: fc.double({ min: 0.001, max: 30, noNaN: true }),
      wait: fc.double({ min: 0, max: 8, noNaN: true })
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const maxEntries = 20
        const { clock, store } = create({ maxEntries })
        /** What the store must know: until the end of the second in which an entry ends. */
        const live = new Map<string, number>()
        for (const { owner, id, ttl, wait } of steps) {
          clock.advance(wait)
          for (const [key, end] of live) if (end < Math.floor(clock.now())) live.delete(key)
          const key = `${owner}.${id}`
          const held = [...live.keys()].filter((other) => other.startsWith(`${owner}.`)).length
          const share = Math.max(1, Math.floor((maxEntries - live.size) / 4))
          const expected = live.has(key) ? false : live.size >= maxEntries ? 'full' : held < share ? true : 'share'
          expect(addOr(store, key, ttl)).toBe(expected)
          if (expected === true) live.set(key, Math.floor(clock.now() + ttl))
          const owners = new Set([...live.keys()].map((other) => other.slice(0, other.indexOf('.'))))
          expect(store.stats()).toEqual({ entries: live.size, maxEntries, owners: owners.size })
        }
        // An owner whose entries have all ended leaves nothing behind.
        clock.advance(40)
        void store.add('last.1', 1)
        expect(store.stats()).toEqual({ entries: 1, maxEntries, owners: 1 })
      })
    )
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
          typeof value === 'number'
            ? new TypeError(`memoryOnceStore(): ${name} must be a positive integer, not ${value}`)
            : /`max\w+` is (?:'10'|null): it must be a number/
        )
    }
  )

  test('by default it holds 250 000, and 50 000 of one owner', () => {
    const { store } = create()
    expect(store.stats()).toEqual({ entries: 0, maxEntries: 250_000, owners: 0 })
    for (let i = 0; i < 50_000; i++) void store.add(`a.${i}`, TTL)
    expect(() => store.add('a.x', TTL)).toThrow(OwnerQuotaExceeded)
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
