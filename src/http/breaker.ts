/**
 * Protects this API from a slow or failing introspection endpoint, and the endpoint from this API: limited concurrent
 * calls and a queue (`places.ts`), a circuit breaker, and respect for 429.
 *
 * An attacker can make up tokens, so a failure with an unknown token proves nothing about the endpoint. Such failures
 * close the endpoint at most to strangers. Known tokens, which were active before, decide when it is down and when it
 * is up again.
 */
import { Unavailable } from '../errors/errors.js'
import { createPlaces, type Occupancy, type Standing } from './places.js'

/** Seconds over which the breaker counts outcomes. */
const PERIOD = 10
/** Minimum outcomes in a period for the breaker to open. */
const MINIMUM = 20
/** Seconds the breaker stays open before a call with a known token may try ... */
const OPEN_FOR = 5
/** ... and further seconds without such a call until a call with any token may try. */
const KNOWN_FIRST = 5
/** Minimum seconds without calls after a 429, also if it has no `Retry-After`; and the maximum. */
const MIN_PAUSE = 1
const MAX_PAUSE = 300

type BreakerState = 'closed' | 'open' | 'half-open'

/** State of an introspection endpoint: its breaker, and the numbers of calls under way and waiting. */
export interface LimitsHealth extends Occupancy {
  /** State of the breaker. */
  readonly state: BreakerState
  /** The part of `underWay` and `queued` whose tokens are strangers: not known to have been active before. */
  readonly strangers: Occupancy
  /** Remaining seconds for which the endpoint asked for fewer calls (429), or 0. */
  readonly limitedFor: number
}

export interface Limits {
  /**
   * @param standing whether the token was active before
   * @param signal ends the wait for a place, with its reason, when it is aborted
   * @throws {Unavailable} at once if the queue is full, the breaker is open, or the endpoint asked for fewer calls;
   *   otherwise the error of the call
   */
  run<T>(call: () => Promise<T>, standing: Standing, signal?: AbortSignal): Promise<T>
  /** Reports the answer about a token. */
  told(standing: Standing, isActive: boolean): void
  health(): LimitsHealth
}

/** @param monotonic seconds from any start, for the rate limit of strangers */
export function createLimits(now: () => number, monotonic?: () => number): Limits {
  const breaker = createBreaker(now)
  const rate = createRateLimit(now)
  const places = createPlaces(monotonic)
  const inPlace = async <T>(call: () => Promise<T>, standing: Standing, pass: Pass): Promise<T> => {
    // The breaker may have opened while the call waited in the queue.
    pass.requireGood()
    rate.requireUnlimited(standing)
    try {
      const result = await call()
      pass.answered()
      return result
    } catch (error) {
      const failure = error instanceof Unavailable ? error : undefined
      const isLimited = failure?.failureKind === 'rate_limited'
      if (isLimited) rate.limited(standing, failure)
      // Only an outage counts as a failure: any answer shows that the endpoint is up, even 429.
      if (failure !== undefined && !isLimited) pass.failed()
      else pass.answered()
      throw error
    }
  }
  return {
    run: async (call, standing, signal) => {
      rate.requireUnlimited(standing)
      const pass = breaker.enter(standing)
      try {
        const leave = await places.take(standing, signal)
        try {
          return await inPlace(call, standing, pass)
        } finally {
          leave()
        }
      } finally {
        pass.end()
      }
    },
    told: (standing, isActive) => {
      if (standing === 'stranger') places.told(isActive)
    },
    health: () => {
      const { known, stranger } = places.stats()
      return {
        state: breaker.state(),
        underWay: known.underWay + stranger.underWay,
        queued: known.queued + stranger.queued,
        strangers: stranger,
        limitedFor: rate.left('stranger')
      }
    }
  }
}

/** One call's way through the breaker. */
interface Pass {
  /** @throws {Unavailable} the breaker has opened for this call since `enter` */
  requireGood(): void
  answered(): void
  failed(): void
  /** Ends the pass, however the call ended, even if it was never sent. */
  end(): void
}

interface Breaker {
  /** @throws {Unavailable} the breaker is open for this call */
  enter(standing: Standing): Pass
  state(): BreakerState
}

/**
 * Since when the breaker is open. `isConfirmed`: a call with a known token failed too, so known tokens are refused as
 * well.
 */
interface Opening {
  at: number
  readonly isConfirmed: boolean
}

/** Outcomes counted since a time. */
interface Period {
  readonly from: number
  answers: number
  failures: number
  known: number
  knownFailures: number
}

function createBreaker(now: () => number): Breaker {
  let opening: Opening | undefined
  let probing = false
  let period = createPeriod(now())

  /** Seconds until a call may try. If the clock is set back, the wait starts again but never gets longer. */
  const wait = (standing: Standing): number => {
    if (opening === undefined) return 0
    opening.at = Math.min(opening.at, now())
    return opening.at + OPEN_FOR + (standing === 'stranger' ? KNOWN_FIRST : 0) - now()
  }
  const requireOpenTo = (standing: Standing): void => {
    if (opening === undefined || (standing === 'known' && !opening.isConfirmed)) return
    // Known tokens try first: when a stranger comes back after that time, the breaker may be closed.
    const seconds = wait('known') > 0 ? wait('known') : wait(standing)
    throw new Unavailable(
      'introspection',
      'the introspection endpoint failed repeatedly, so it is not called for a few seconds',
      { retryAfter: seconds }
    )
  }
  const change = (next: Opening | undefined): void => {
    opening = next
    period = createPeriod(now())
  }
  const count = (standing: Standing, failed: boolean): void => {
    const time = now()
    if (time >= period.from + PERIOD || time < period.from) period = createPeriod(time)
    period[failed ? 'failures' : 'answers']++
    if (standing === 'known') period.known++
    if (standing === 'known' && failed) period.knownFailures++
  }
  const judge = (): void => {
    const { answers, failures, known, knownFailures } = period
    const isDownForKnown = known >= MINIMUM && knownFailures * 2 >= known
    if (isDownForKnown || (answers === 0 && failures >= MINIMUM))
      opening = { at: now(), isConfirmed: knownFailures > 0 }
  }

  return {
    enter: (standing) => {
      const isProbe = opening !== undefined && !probing && wait(standing) <= 0
      if (!isProbe) requireOpenTo(standing)
      else probing = true
      /** The opening that this call tests. */
      let seen = opening
      const ended = (failed: boolean): void => {
        count(standing, failed)
        // A call that began before the breaker opened is outdated: it neither closes the breaker nor keeps it open
        // longer.
        if (seen !== opening) return
        if (opening === undefined) judge()
        else if (failed) change({ at: now(), isConfirmed: opening.isConfirmed || standing === 'known' })
        else change(undefined)
      }
      return {
        requireGood: () => {
          if (!isProbe) requireOpenTo(standing)
          seen = opening
        },
        answered: () => ended(false),
        failed: () => ended(true),
        end: () => {
          if (isProbe) probing = false
        }
      }
    },
    state: () => {
      if (opening === undefined) return 'closed'
      return probing || wait('known') <= 0 ? 'half-open' : 'open'
    }
  }
}

function createPeriod(from: number): Period {
  return { from, answers: 0, failures: 0, known: 0, knownFailures: 0 }
}

interface RateLimit {
  /** Remaining seconds of the pause. */
  left(standing: Standing): number
  /** @throws {Unavailable} */
  requireUnlimited(standing: Standing): void
  limited(standing: Standing, error: Unavailable): void
}

/**
 * Obeys `Retry-After` (RFC 6585 §4). Every 429 pauses calls with strangers. Only a 429 for a known token pauses calls
 * with known tokens: otherwise strangers could use up the rate that the server grants to this API.
 */
function createRateLimit(now: () => number): RateLimit {
  const pauses: Record<Standing, { readonly at: number; readonly lasts: number }> = {
    known: { at: 0, lasts: 0 },
    stranger: { at: 0, lasts: 0 }
  }
  const left = (standing: Standing): number => {
    const { at, lasts } = pauses[standing]
    const time = now()
    // A clock that is set back ends the pause.
    return at <= time ? Math.max(0, at + lasts - time) : 0
  }
  return {
    left,
    requireUnlimited: (standing) => {
      const seconds = left(standing)
      if (seconds > 0)
        throw new Unavailable(
          'introspection',
          'the introspection endpoint answered 429 (too many requests), so it is called less often',
          { retryAfter: seconds }
        )
    },
    limited: (standing, { askedFor }) => {
      const lasts = Math.min(MAX_PAUSE, Math.max(MIN_PAUSE, askedFor))
      for (const one of standing === 'known' ? (['known', 'stranger'] as const) : (['stranger'] as const))
        if (lasts > left(one)) pauses[one] = { at: now(), lasts }
    }
  }
}
