/** The bounds around introspection: how many at once, how many waiting, and when not to ask at all. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Misconfigured, Unavailable } from '../src/errors.js'
import { createLimits, type Limits } from '../src/limits.js'
import { createClock } from './support/issuer.js'

const outage = new Unavailable('introspection', 'down')
const fail = async (): Promise<never> => {
  throw outage
}
const succeed = async (): Promise<string> => 'ok'

/** A call that ends when told to. */
function held(): { call: () => Promise<string>; end(): void; begun: boolean } {
  let end = (): void => {}
  const ended = new Promise<string>((resolve) => {
    end = () => resolve('ok')
  })
  const one = {
    begun: false,
    end,
    call: () => {
      one.begun = true
      return ended
    }
  }
  return one
}

async function times(count: number, limits: Limits, call: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < count; i++) await limits.run(call).catch(() => undefined)
}

describe('how many', () => {
  test('64 calls run, 256 wait in order, and one more is refused with a Retry-After of a second', async () => {
    const limits = createLimits(() => 0)
    const calls = Array.from({ length: 320 }, held)
    const results = calls.map((one) => limits.run(one.call))
    await setImmediate()
    expect(calls.filter((one) => one.begun)).toHaveLength(64)
    expect(limits).toMatchObject({ underWay: 64, queued: 256 })
    const late = held()
    await expect(limits.run(late.call)).rejects.toMatchObject({
      status: 503,
      dependency: 'introspection',
      retryAfter: 1
    })
    expect(late.begun).toBe(false)
    calls[5]?.end()
    await results[5]
    await setImmediate()
    expect(calls.findIndex((one) => !one.begun)).toBe(65)
    expect(limits).toMatchObject({ underWay: 64, queued: 255 })
    for (const one of calls) one.end()
    expect(await Promise.all(results)).toEqual(calls.map(() => 'ok'))
    expect(limits).toMatchObject({ underWay: 0, queued: 0, state: 'closed' })
  })

  test('a place that is handed over cannot be taken by somebody who comes between', async () => {
    const limits = createLimits(() => 0)
    const calls = Array.from({ length: 65 }, held)
    const results = calls.map((one) => limits.run(one.call))
    await setImmediate()
    calls[0]?.end()
    await results[0]
    const late = held()
    const lateResult = limits.run(late.call)
    await setImmediate()
    expect([calls[64]?.begun, late.begun]).toEqual([true, false])
    for (const one of [...calls, late]) one.end()
    await Promise.all([...results, lateResult])
    expect(limits).toMatchObject({ underWay: 0, queued: 0 })
  })

  test('a call that fails gives its place back', async () => {
    const limits = createLimits(() => 0)
    await Promise.allSettled(Array.from({ length: 100 }, () => limits.run(fail)))
    expect(limits).toMatchObject({ underWay: 0, queued: 0 })
  })

  test('what a full queue refuses is no failure of the endpoint', async () => {
    const limits = createLimits(() => 0)
    const calls = Array.from({ length: 320 }, held)
    const results = calls.map((one) => limits.run(one.call))
    await Promise.allSettled(Array.from({ length: 50 }, () => limits.run(succeed)))
    expect(limits.state).toBe('closed')
    for (const one of calls) one.end()
    await Promise.all(results)
    expect(limits.state).toBe('closed')
  })
})

describe('the breaker', () => {
  test('opens at 20 outcomes of which half failed, not before', async () => {
    const limits = createLimits(() => 0)
    await times(10, limits, succeed)
    await times(9, limits, fail)
    expect(limits.state).toBe('closed')
    await times(1, limits, fail)
    expect(limits.state).toBe('open')
    const few = createLimits(() => 0)
    await times(19, few, fail)
    expect(few.state).toBe('closed')
    const mostlyWell = createLimits(() => 0)
    await times(21, mostlyWell, succeed)
    await times(20, mostlyWell, fail)
    expect(mostlyWell.state).toBe('closed')
  })

  test('looks at 10 seconds: failures further apart do not add up', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    for (let i = 0; i < 10; i++) {
      await times(15, limits, fail)
      clock.advance(10)
    }
    expect(limits.state).toBe('closed')
    await times(20, limits, fail)
    expect(limits.state).toBe('open')
  })

  test('counts outages only: an answer shows that the endpoint is up, whatever it says', async () => {
    const limits = createLimits(() => 0)
    await times(50, limits, async () => {
      throw new Misconfigured('wrong secret')
    })
    expect(limits.state).toBe('closed')
  })

  test('open, refuses at once and says for how long; nothing is called', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    let called = 0
    const call = async (): Promise<void> => void called++
    await expect(limits.run(call)).rejects.toMatchObject({ status: 503, retryAfter: 5 })
    clock.advance(4.5)
    await expect(limits.run(call)).rejects.toMatchObject({ status: 503, retryAfter: 1 })
    expect(called).toBe(0)
    expect(limits.state).toBe('open')
  })

  test('half-open after 5 s, lets one call through and no second', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(5)
    expect(limits.state).toBe('half-open')
    const probe = held()
    const result = limits.run(probe.call)
    await setImmediate()
    expect(probe.begun).toBe(true)
    expect(limits.state).toBe('half-open')
    await expect(limits.run(succeed)).rejects.toMatchObject({ status: 503 })
    probe.end()
    expect(await result).toBe('ok')
    expect(limits.state).toBe('closed')
    expect(await limits.run(succeed)).toBe('ok')
  })

  test('a failed probe opens it for another 5 s', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(5)
    await expect(limits.run(fail)).rejects.toBe(outage)
    expect(limits.state).toBe('open')
    clock.advance(4.9)
    expect(limits.state).toBe('open')
    clock.advance(0.1)
    expect(await limits.run(succeed)).toBe('ok')
    expect(limits.state).toBe('closed')
  })

  test('a probe that is answered, if not as hoped, closes it', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(5)
    await times(1, limits, async () => {
      throw new Misconfigured('wrong secret')
    })
    expect(limits.state).toBe('closed')
  })

  test('closed again, it has forgotten what was before', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(5)
    await limits.run(succeed)
    await times(18, limits, fail)
    expect(limits.state).toBe('closed')
    await times(2, limits, fail)
    expect(limits.state).toBe('open')
  })

  test('calls from before it opened, which end while the probe is under way, neither close nor prolong it', async () => {
    const clock = createClock(0)
    const limits = createLimits(clock.now)
    const early = held()
    const earlyResult = limits.run(early.call)
    await times(20, limits, fail)
    clock.advance(5)
    const probe = held()
    const probeResult = limits.run(probe.call)
    await setImmediate()
    early.end()
    await earlyResult
    await expect(limits.run(succeed)).rejects.toMatchObject({ status: 503 })
    probe.end()
    await probeResult
    expect(limits.state).toBe('closed')
  })

  test('a clock that is set back does not keep it open for longer than 5 s', async () => {
    const clock = createClock(1000)
    const limits = createLimits(clock.now)
    await times(20, limits, fail)
    clock.advance(-900)
    await expect(limits.run(succeed)).rejects.toMatchObject({ retryAfter: 5 })
    clock.advance(5)
    expect(await limits.run(succeed)).toBe('ok')
  })
})
