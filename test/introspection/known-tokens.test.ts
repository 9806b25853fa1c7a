/** Which tokens were active before: how many, for how long, and of how many issuers. */
import { describe, expect, test } from 'vitest'
import { createKnownTokens } from '../../src/introspection/known-tokens.js'
import type { Issuer } from '../../src/issuer/issuer.js'
import { createClock } from '../support/issuer.js'

const issuer = (serial: number): Issuer =>
  ({ serial, settings: { issuer: `https://as${serial}.example.com`, introspection: {} } }) as unknown as Issuer

const ACTIVE = Object.freeze({ active: true })

describe('known tokens', () => {
  test('are remembered for 24 h, but not past their exp', () => {
    const clock = createClock(1000)
    const known = createKnownTokens(undefined, clock.now)
    known.learn('a', 'a', issuer(1), ACTIVE)
    known.learn('b', 'b', issuer(1), { exp: 1600 })
    const has = () => ['a', 'b'].map((key) => known.has(key, key, issuer(1)))
    clock.advance(599)
    expect(has()).toEqual([true, true])
    clock.advance(1)
    expect(has()).toEqual([true, false])
    clock.advance(24 * 3600 - 601)
    expect(has()).toEqual([true, false])
    clock.advance(1)
    expect(has()).toEqual([false, false])
  })

  test('are limited to 10,000; those that were active longest ago are evicted', () => {
    const known = createKnownTokens(undefined, () => 0)
    const learn = (i: number): void => known.learn(`t${i}`, '', issuer(1), ACTIVE)
    for (let i = 0; i < 10_000; i++) learn(i)
    learn(0)
    for (let i = 10_000; i < 10_010; i++) learn(i)
    expect(known.stats()).toEqual({ entries: 10_000, maxEntries: 10_000 })
    expect([0, 1, 10, 11, 10_009].map((i) => known.has(`t${i}`, '', issuer(1)))).toEqual([
      true,
      false,
      false,
      true,
      true
    ])
  })

  test('of one issuer do not evict those of another', () => {
    const known = createKnownTokens(undefined, () => 0)
    for (let i = 0; i < 100; i++) known.learn(`v${i}`, '', issuer(2), ACTIVE)
    for (let i = 0; i < 20_000; i++) known.learn(`a${i}`, '', issuer(1), ACTIVE)
    expect(known.stats().entries).toBe(10_000)
    for (let i = 0; i < 100; i++) expect(known.has(`v${i}`, '', issuer(2))).toBe(true)
  })

  test('are forgotten when they are "not active"', () => {
    const known = createKnownTokens(undefined, () => 0)
    known.learn('a', 'a', issuer(1), ACTIVE)
    known.learn('a', 'a', issuer(1), undefined)
    expect(known.has('a', 'a', issuer(1))).toBe(false)
    expect(known.stats().entries).toBe(0)
  })
})
