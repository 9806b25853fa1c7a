/** The bounds around introspection: how many at once, how many waiting, for whom, and when not to ask at all. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Misconfigured, Unavailable } from '../../src/errors/errors.js'
import { createLimits, type Limits } from '../../src/http/breaker.js'
import type { Standing } from '../../src/http/places.js'
import { createClock } from '../support/issuer.js'

const outage = new Unavailable('introspection', 'down', { failureKind: 'down' })
const fail = async (): Promise<never> => {
  throw outage
}
const succeed = async (): Promise<string> => 'ok'

interface Held {
  readonly call: () => Promise<string>
  readonly standing: Standing
  end(): void
  begun: boolean
  result: Promise<string>
}

/** A call that ends when told to. */
function hold(limits: Limits, standing: Standing, signal?: AbortSignal): Held {
  let end = (): void => {}
  const ended = new Promise<string>((resolve) => {
    end = () => resolve('ok')
  })
  const one: Held = {
    begun: false,
    standing,
    end,
    call: () => {
      one.begun = true
      return ended
    },
    result: ended
  }
  one.result = limits.run(one.call, standing, signal)
  one.result.catch(() => undefined)
  return one
}

const several = (count: number, limits: Limits, standing: Standing): Held[] =>
  Array.from({ length: count }, () => hold(limits, standing))

const begun = (calls: readonly Held[]): number => calls.filter((one) => one.begun).length

async function finish(calls: readonly Held[]): Promise<PromiseSettledResult<string>[]> {
  for (const one of calls) one.end()
  return Promise.allSettled(calls.map(({ result }) => result))
}

async function times(
  count: number,
  limits: Limits,
  call: () => Promise<unknown>,
  standing: Standing = 'stranger'
): Promise<void> {
  for (let i = 0; i < count; i++) await limits.run(call, standing).catch(() => undefined)
}

const tooMany = { status: 503, dependency: 'introspection', retryAfter: 1 }

describe('places', () => {
  test('strangers have 48 places and 192 in the queue; one more stranger displaces the one that waits longest', async () => {
    const limits = createLimits(() => 0)
    const calls = several(48 + 192, limits, 'stranger')
    await setImmediate()
    expect(begun(calls)).toBe(48)
    expect(limits.health()).toMatchObject({ underWay: 48, queued: 192, strangers: { underWay: 48, queued: 192 } })
    const late = hold(limits, 'stranger')
    await expect(calls[48]?.result).rejects.toMatchObject(tooMany)
    calls[0]?.end()
    await calls[0]?.result
    await setImmediate()
    // Last in, first out.
    expect([late.begun, begun(calls)]).toEqual([true, 48])
    const results = await finish([...calls, late])
    expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1)
    expect(limits.health()).toMatchObject({ underWay: 0, queued: 0, state: 'closed' })
  })

  test('known tokens have 64 places and 256 in the queue while no stranger waits, and are admitted in order', async () => {
    const limits = createLimits(() => 0)
    const calls = several(64 + 256, limits, 'known')
    await setImmediate()
    expect(begun(calls)).toBe(64)
    expect(limits.health()).toMatchObject({ underWay: 64, queued: 256, strangers: { underWay: 0, queued: 0 } })
    const late = hold(limits, 'known')
    await expect(late.result).rejects.toMatchObject(tooMany)
    calls[5]?.end()
    await setImmediate()
    expect(calls.findIndex((one) => !one.begun)).toBe(65)
    const results = await finish(calls)
    expect(results.every(({ status }) => status === 'fulfilled')).toBe(true)
  })

  test('500 strangers that hold all their places do not block 80 known tokens', async () => {
    const limits = createLimits(() => 0)
    const strangers = several(500, limits, 'stranger')
    const victims = several(16 + 64, limits, 'known')
    await setImmediate()
    expect(begun(victims)).toBe(16)
    expect(limits.health()).toMatchObject({ underWay: 64, queued: 256 })
    const more = several(40, limits, 'known')
    await setImmediate()
    // Room in the queue is taken from strangers.
    expect(limits.health()).toMatchObject({ queued: 256, strangers: { queued: 152 } })
    // Each place that becomes free is for a known token first.
    for (const one of strangers) one.end()
    await setImmediate()
    expect(begun(victims)).toBe(64)
    const results = await finish([...victims, ...more])
    expect(results.every(({ status }) => status === 'fulfilled')).toBe(true)
    await finish(strangers)
  })

  test('a flood of known tokens leaves a quarter of the places to strangers, and the queued strangers stay', async () => {
    const limits = createLimits(() => 0)
    const first = several(64, limits, 'known')
    const strangers = several(100, limits, 'stranger')
    const known = several(256, limits, 'known')
    await setImmediate()
    expect(limits.health()).toMatchObject({ underWay: 64, queued: 256, strangers: { underWay: 0, queued: 64 } })
    for (const one of first.slice(0, 32)) one.end()
    await setImmediate()
    expect(limits.health()).toMatchObject({ underWay: 64, strangers: { underWay: 16, queued: 48 } })
    expect(begun(strangers.slice(-16))).toBe(16)
    await finish([...first, ...known, ...strangers])
    expect(limits.health()).toMatchObject({ underWay: 0, queued: 0 })
  })

  test('a call whose signal is aborted leaves the queue at once and frees its place', async () => {
    const limits = createLimits(() => 0)
    const calls = several(64, limits, 'known')
    const abort = new AbortController()
    const gone = Array.from({ length: 256 }, () => hold(limits, 'known', abort.signal))
    await setImmediate()
    expect(limits.health()).toMatchObject({ queued: 256 })
    abort.abort(new Error('gone'))
    await expect(gone[0]?.result).rejects.toThrow('gone')
    expect(limits.health()).toMatchObject({ queued: 0 })
    const next = hold(limits, 'known')
    await finish([...calls, next])
    expect(begun(gone)).toBe(0)
    await expect(limits.run(succeed, 'known', abort.signal)).rejects.toThrow('gone')
    expect(limits.health()).toMatchObject({ underWay: 0, queued: 0, state: 'closed' })
  })

  test('a place that is handed over cannot be taken by a call that arrives at that moment', async () => {
    const limits = createLimits(() => 0)
    const calls = several(65, limits, 'known')
    await setImmediate()
    calls[0]?.end()
    await calls[0]?.result
    const late = hold(limits, 'known')
    await setImmediate()
    expect([calls[64]?.begun, late.begun]).toEqual([true, false])
    await finish([...calls, late])
    expect(limits.health()).toMatchObject({ underWay: 0, queued: 0 })
  })

  test('a failed call gives its place back', async () => {
    const limits = createLimits(() => 0)
    await Promise.allSettled(Array.from({ length: 100 }, () => limits.run(fail, 'stranger')))
    expect(limits.health()).toMatchObject({ underWay: 0, queued: 0 })
  })

  test('a refusal by a full queue does not count as a failure of the endpoint', async () => {
    const limits = createLimits(() => 0)
    const calls = several(320, limits, 'known')
    await Promise.allSettled(Array.from({ length: 50 }, () => limits.run(succeed, 'known')))
    expect(limits.health().state).toBe('closed')
    await finish(calls)
    expect(limits.health().state).toBe('closed')
  })
})

describe('the rate limit of strangers', () => {
  const junk = async (limits: Limits, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await limits.run(succeed, 'stranger')
      limits.told('stranger', false)
    }
  }

  test('while most of the latest 64 answers are "not active", 1000 calls are sent at once and 1000 a second', async () => {
    const clock = createClock(0)
    const limits = createLimits(() => 0, clock.now)
    // 33 answers turn it on.
    await junk(limits, 33 + 1000)
    const next = hold(limits, 'stranger')
    await setImmediate()
    expect(next.begun).toBe(false)
    expect(limits.health()).toMatchObject({ underWay: 0, strangers: { queued: 1 } })
    // Known tokens are not paced.
    expect(await limits.run(succeed, 'known')).toBe('ok')
    clock.advance(0.001)
    const after = hold(limits, 'stranger')
    await setImmediate()
    expect([next.begun, after.begun]).toEqual([false, true])
    clock.advance(1)
    await finish([after, next])
    expect(next.begun).toBe(true)
  })

  test('answers that are mostly "active" turn the rate limit off', async () => {
    const limits = createLimits(
      () => 0,
      () => 0
    )
    await junk(limits, 33 + 999)
    for (let i = 0; i < 32; i++) limits.told('stranger', true)
    await times(2000, limits, succeed)
    expect(limits.health()).toMatchObject({ underWay: 0, queued: 0 })
  })
})

describe('429', () => {
  const limited = new Unavailable('introspection', 'answered 429', { retryAfter: 60, failureKind: 'rate_limited' })
  const refuse = async (): Promise<never> => {
    throw limited
  }

  test('for a stranger it pauses strangers until its Retry-After, but not known tokens', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await expect(limits.run(refuse, 'stranger')).rejects.toBe(limited)
    expect(limits.health()).toMatchObject({ state: 'closed', limitedFor: 60 })
    await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ status: 503, retryAfter: 60 })
    expect(await limits.run(succeed, 'known')).toBe('ok')
    clock.advance(59)
    await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ retryAfter: 1 })
    clock.advance(1)
    expect(await limits.run(succeed, 'stranger')).toBe('ok')
  })

  test('for a known token it pauses every token; for a second without Retry-After', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    const unspecified = new Unavailable('introspection', 'answered 429', { failureKind: 'rate_limited' })
    await expect(limits.run(() => Promise.reject(unspecified), 'known')).rejects.toBe(unspecified)
    await expect(limits.run(succeed, 'known')).rejects.toMatchObject({ status: 503, retryAfter: 1 })
    await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ status: 503 })
    clock.advance(1)
    expect(await limits.run(succeed, 'known')).toBe('ok')
  })

  test('is not an outage: the breaker stays closed however often it comes', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    for (let i = 0; i < 30; i++) {
      await times(
        1,
        limits,
        () => Promise.reject(new Unavailable('introspection', 'answered 429', { failureKind: 'rate_limited' })),
        'known'
      )
      clock.advance(1)
    }
    expect(limits.health().state).toBe('closed')
  })

  test('also pauses calls that wait in the queue; a clock that is set back ends it', async () => {
    const clock = createClock(1000)
    const limits = createLimits(clock.now)
    const all = await Promise.allSettled(
      Array.from({ length: 100 }, () => limits.run(async () => Promise.reject(limited), 'stranger'))
    )
    expect(all.filter((one) => one.status === 'rejected' && one.reason === limited)).toHaveLength(48)
    clock.advance(-500)
    expect(await limits.run(succeed, 'stranger')).toBe('ok')
  })
})

describe('the breaker', () => {
  const state = (limits: Limits): string => limits.health().state

  test('opens after 20 failures without a success in 10 s, not earlier, and not with a success', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(19, limits, fail)
    expect(state(limits)).toBe('closed')
    await times(1, limits, fail)
    expect(state(limits)).toBe('open')
    const served = createLimits(clock.now)
    await times(1, served, succeed)
    await times(100, served, fail)
    expect(state(served)).toBe('closed')
    clock.advance(10)
    await times(20, served, fail)
    expect(state(served)).toBe('open')
  })

  test('opens if at least half of 20 or more calls with known tokens failed, whatever happens to strangers', async () => {
    const limits = createLimits(() => 0)
    await times(50, limits, succeed)
    await times(10, limits, succeed, 'known')
    await times(9, limits, fail, 'known')
    expect(state(limits)).toBe('closed')
    await times(1, limits, fail, 'known')
    expect(state(limits)).toBe('open')
    const mostlyWell = createLimits(() => 0)
    await times(21, mostlyWell, succeed, 'known')
    await times(20, mostlyWell, fail, 'known')
    expect(state(mostlyWell)).toBe('closed')
  })

  test('counts over 10 seconds: failures further apart do not add up', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    for (let i = 0; i < 10; i++) {
      await times(15, limits, fail)
      clock.advance(10)
    }
    expect(state(limits)).toBe('closed')
    await times(20, limits, fail)
    expect(state(limits)).toBe('open')
  })

  test('counts outages only: any answer shows that the endpoint is up', async () => {
    const limits = createLimits(() => 0)
    await times(50, limits, async () => {
      throw new Misconfigured('wrong secret')
    })
    expect(state(limits)).toBe('closed')
  })

  test('opened by strangers alone, it lets every known token through, and the first success closes it', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    for (let round = 0; round < 6; round++) {
      await times(20, limits, fail)
      expect(state(limits)).toBe('open')
      await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ status: 503, retryAfter: 5 })
      const victims = several(20, limits, 'known')
      await setImmediate()
      expect(begun(victims)).toBe(20)
      expect((await finish(victims)).every(({ status }) => status === 'fulfilled')).toBe(true)
      expect(await limits.run(succeed, 'stranger')).toBe('ok')
      clock.advance(10)
    }
  })

  test('after a failed known token it refuses all tokens at once with the remaining seconds, and calls nothing', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    await times(1, limits, fail, 'known')
    let called = 0
    const call = async (): Promise<void> => void called++
    await expect(limits.run(call, 'known')).rejects.toMatchObject({ status: 503, retryAfter: 5 })
    await expect(limits.run(call, 'stranger')).rejects.toMatchObject({ status: 503, retryAfter: 5 })
    clock.advance(4.5)
    await expect(limits.run(call, 'known')).rejects.toMatchObject({ status: 503, retryAfter: 1 })
    expect(called).toBe(0)
    expect(state(limits)).toBe('open')
  })

  test('is half-open after 5 s: lets one known token through, no second one and no stranger', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail, 'known')
    clock.advance(5)
    expect(state(limits)).toBe('half-open')
    await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ status: 503, retryAfter: 5 })
    const probe = hold(limits, 'known')
    await setImmediate()
    expect(probe.begun).toBe(true)
    await expect(limits.run(succeed, 'known')).rejects.toMatchObject({ status: 503 })
    probe.end()
    expect(await probe.result).toBe('ok')
    expect(state(limits)).toBe('closed')
    expect(await limits.run(succeed, 'stranger')).toBe('ok')
  })

  test('lets a stranger try if no known token came for 5 s after the wait', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(9)
    await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ status: 503, retryAfter: 1 })
    clock.advance(1)
    const probe = hold(limits, 'stranger')
    await setImmediate()
    await expect(limits.run(succeed, 'stranger')).rejects.toMatchObject({ status: 503 })
    probe.end()
    await probe.result
    expect(state(limits)).toBe('closed')
  })

  test('a junk token as every probe does not keep known tokens out', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    for (let i = 0; i < 3; i++) {
      clock.advance(10)
      await times(1, limits, fail)
      expect(state(limits)).toBe('open')
    }
    const victims = several(64, limits, 'known')
    await setImmediate()
    expect(begun(victims)).toBe(64)
    expect((await finish(victims)).every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(state(limits)).toBe('closed')
  })

  test('a failed probe opens it for another 5 s', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail, 'known')
    clock.advance(5)
    await expect(limits.run(fail, 'known')).rejects.toBe(outage)
    expect(state(limits)).toBe('open')
    clock.advance(4.9)
    await expect(limits.run(succeed, 'known')).rejects.toMatchObject({ status: 503 })
    clock.advance(0.1)
    expect(await limits.run(succeed, 'known')).toBe('ok')
    expect(state(limits)).toBe('closed')
  })

  test('any answer to a probe closes it', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(10)
    await times(1, limits, async () => {
      throw new Misconfigured('wrong secret')
    })
    expect(state(limits)).toBe('closed')
  })

  test('a probe that leaves before it is sent lets another call probe', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail, 'known')
    clock.advance(5)
    await expect(limits.run(succeed, 'known', AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
    expect(await limits.run(succeed, 'known')).toBe('ok')
  })

  test('forgets earlier outcomes when it closes', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(10)
    await limits.run(succeed, 'stranger')
    await times(19, limits, fail)
    expect(state(limits)).toBe('closed')
    await times(1, limits, fail)
    expect(state(limits)).toBe('open')
  })

  test('calls from before it opened, which end during the probe, neither close nor prolong it', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    const early = hold(limits, 'known')
    await times(20, limits, fail, 'known')
    clock.advance(5)
    const probe = hold(limits, 'known')
    await setImmediate()
    early.end()
    await early.result
    await expect(limits.run(succeed, 'known')).rejects.toMatchObject({ status: 503 })
    probe.end()
    await probe.result
    expect(state(limits)).toBe('closed')
  })

  test('a clock that is set back does not keep it open for longer than 5 s', async () => {
    const clock = createClock(1000)
    const limits = createLimits(clock.now)
    await times(20, limits, fail, 'known')
    clock.advance(-900)
    await expect(limits.run(succeed, 'known')).rejects.toMatchObject({ retryAfter: 5 })
    clock.advance(5)
    expect(await limits.run(succeed, 'known')).toBe('ok')
  })
})
