/**
 * What keeps a slow or failing introspection endpoint from taking this API down with it, and this API from keeping it
 * down: a bound on calls under way, a bounded queue, and a circuit breaker.
 */
import { Unavailable } from './errors.js'

/** Calls under way at once. */
const CONCURRENT = 64
/** Calls that wait for a place; one more is refused. */
const QUEUED = 256
/** The breaker looks at this many seconds. */
const PERIOD = 10
/** … and needs this many outcomes in them, half of them failures, to open. */
const MINIMUM = 20
/** Seconds it stays open before one call may try. */
const OPEN_FOR = 5

type BreakerState = 'closed' | 'open' | 'half-open'

export interface Limits {
  /** @throws {Unavailable} at once, when the queue is full or the breaker open; else what the call throws */
  run<T>(call: () => Promise<T>): Promise<T>
  readonly state: BreakerState
  readonly underWay: number
  readonly queued: number
}

export function createLimits(now: () => number): Limits {
  const waiting: (() => void)[] = []
  let underWay = 0
  let openedAt: number | undefined
  let probing = false
  let period = { from: now(), calls: 0, failures: 0 }

  const record = (failed: boolean, probe: boolean): void => {
    const time = now()
    if (time >= period.from + PERIOD || time < period.from) period = { from: time, calls: 0, failures: 0 }
    period.calls++
    if (failed) period.failures++
    if (probe) {
      // The one call that was let through decides; the period before the outage says nothing any more.
      openedAt = failed ? time : undefined
      period = { from: time, calls: 0, failures: 0 }
    } else if (period.calls >= MINIMUM && period.failures * 2 >= period.calls) openedAt ??= time
  }
  /** Seconds until a call may try. A clock that was set back starts the wait again, and no longer one. */
  const wait = (): number => {
    if (openedAt === undefined) return 0
    openedAt = Math.min(openedAt, now())
    return openedAt + OPEN_FOR - now()
  }
  const requireClosed = (): void => {
    if (openedAt === undefined) return
    const problem = 'it failed repeatedly and is given time to recover'
    throw new Unavailable('introspection', problem, { retryAfter: wait() })
  }
  const place = async (): Promise<void> => {
    if (underWay < CONCURRENT) {
      underWay++
      return
    }
    if (waiting.length >= QUEUED)
      throw new Unavailable('introspection', 'too many introspections are waiting', { retryAfter: 1 })
    // The place is handed over, not given back and taken again: nobody can slip in between.
    await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const leave = (): void => {
    const next = waiting.shift()
    if (next) next()
    else underWay--
  }

  const recorded = async <T>(call: () => Promise<T>, probe: boolean): Promise<T> => {
    try {
      const result = await call()
      record(false, probe)
      return result
    } catch (error) {
      // Only an outage counts: an answer, whatever it says, shows that the endpoint is up.
      record(error instanceof Unavailable, probe)
      throw error
    }
  }

  return {
    async run(call) {
      const mayProbe = openedAt !== undefined && wait() <= 0 && !probing
      if (!mayProbe) requireClosed()
      if (mayProbe) probing = true
      try {
        await place()
        try {
          // What waited in the queue while the breaker opened does not go out any more.
          if (!mayProbe) requireClosed()
          return await recorded(call, mayProbe)
        } finally {
          leave()
        }
      } finally {
        if (mayProbe) probing = false
      }
    },
    get state() {
      if (openedAt === undefined) return 'closed'
      return probing || wait() <= 0 ? 'half-open' : 'open'
    },
    get underWay() {
      return underWay
    },
    get queued() {
      return waiting.length
    }
  }
}
