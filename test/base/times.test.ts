/** Durations and refused times in words. */
import { describe, expect, test } from 'vitest'
import { inWords, timeInWords, timeRefusalInWords } from '../../src/base/times.js'

describe('inWords', () => {
  test.each([
    [0, '0 seconds'],
    [1, '1 second'],
    [59.9, '59 seconds'],
    [60, '1 minute'],
    [61, '1 min 1 s'],
    [295, '4 min 55 s'],
    [599, '9 min 59 s'],
    [600, '10 minutes'],
    [3599, '59 minutes'],
    [7199, '119 minutes'],
    [7200, '2 hours'],
    [172_799, '47 hours'],
    [172_800, '2 days'],
    [86_400 * 400, '400 days']
  ])('writes %d s as %s', (seconds, words) => {
    expect(inWords(seconds)).toBe(words)
  })
})

test('timeInWords writes a past and a future time', () => {
  expect([timeInWords(100, 160), timeInWords(160, 100)]).toEqual(['1 minute ago', 'in 1 minute'])
})

describe('timeRefusalInWords', () => {
  const now = 1_750_000_000

  test.each([
    ['expired', 'exp after 1749999970', now - 3599, 'expired 59 minutes ago'],
    ['expired', 'exp after 1749999970', now, 'expired 0 seconds ago'],
    ['not_yet_valid', 'iat up to 1750000030', now + 295, 'issued 4 min 55 s in this machine’s future'],
    ['not_yet_valid', 'nbf up to 1750000030', now + 7200, 'becomes valid in 2 hours by this machine’s clock'],
    ['proof_freshness', 'made at about 1750000000', now - 301, 'proof made 5 min 1 s ago'],
    ['proof_freshness', 'made at about 1750000000', now + 60, 'proof made 1 minute in this machine’s future']
  ])('describes %s (%s) with %d as "%s"', (reason, expected, received, words) => {
    expect(timeRefusalInWords({ reason, expected, received }, now)).toBe(words)
  })

  test.each([
    ['audience', 1],
    ['expired', 'tomorrow'],
    ['expired', undefined],
    ['expired', Number.POSITIVE_INFINITY]
  ])('returns undefined for %s with %j', (reason, received) => {
    expect(timeRefusalInWords({ reason, received }, now)).toBeUndefined()
  })
})
