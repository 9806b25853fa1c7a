/**
 * Requests that wait. Each has one deadline for all that it waits for, counted from the moment it first had to wait,
 * which is when it arrived: what is known already is answered in the same tick. A question about a token is shared by
 * all requests with that token; it is not sent any more once all of them have left.
 */
import { isPromise } from '../base/awaitable.js'
import { type Dependency, Unavailable } from '../errors/errors.js'
import type { Awaitable, ResourceRequest } from '../types.js'

/** Milliseconds past the deadline in which an exchange that began at once, and has the same deadline, says what went wrong. */
const GRACE = 100

/** The part of a request that says whether its client is still there. */
export type Caller = Pick<ResourceRequest, 'onGone'>

export interface Callers {
  /** Milliseconds that are left of this caller's deadline. */
  left(caller: Caller): number
  /** The error for a caller whose deadline has passed. */
  late(dependency: Dependency): Unavailable
  /**
   * The value, if it comes in time. A value that is there costs nothing.
   *
   * @throws {Unavailable} the deadline has passed
   */
  inTime<T>(value: Awaitable<T>, caller: Caller, dependency: Dependency): Awaitable<T>
}

/** @param deadline seconds */
export function createCallers(deadline: number): Callers {
  /** When callers first had to wait, in milliseconds of `performance.now()`. */
  const arrivals = new WeakMap<Caller, number>()
  const patience = deadline * 1000 + GRACE
  const late = (dependency: Dependency): Unavailable =>
    new Unavailable(dependency, `the request waited for ${deadline} s (\`http.deadline\`)`)
  const left = (caller: Caller): number => {
    const time = performance.now()
    const since = arrivals.get(caller)
    // A handler may ask once more, much later, with the same request.
    if (since !== undefined && time - since <= patience) return since + patience - time
    arrivals.set(caller, time)
    return patience
  }
  const race = <T>(value: Promise<T>, caller: Caller, dependency: Dependency): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(late(dependency)), left(caller))
      value.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  return {
    left,
    late,
    inTime: (value, caller, dependency) => (isPromise(value) ? race(value, caller, dependency) : value)
  }
}

/** Tells a question that no caller waits for it any more. */
export interface Waiting {
  /** Aborted when the last caller has left before the question went out. */
  readonly signal: AbortSignal
  /** From now on the question goes on even if all callers leave: the next request can use the answer. */
  goOut(): void
}

/** A call about a token that callers share. */
export interface Question<T> {
  /**
   * The answer, for one more caller.
   *
   * @throws {Unavailable} its deadline has passed, or its client is gone; else what the question throws
   */
  join(caller: Caller): Promise<T>
  /** Fulfilled once the question is answered, has failed, or is abandoned. */
  readonly settled: Promise<void>
}

/** No caller sees it: the last one has left. */
const ABANDONED = new Error('every request that waited for this has left')

/**
 * @param ask begins at once
 * @param ended called when the question is answered, has failed, or is abandoned: from then on no caller can join it
 */
export function createQuestion<T>(
  ask: (waiting: Waiting) => Promise<T>,
  callers: Callers,
  ended: () => void
): Question<T> {
  const abort = new AbortController()
  let waiting = 0
  let isOut = false
  const answer = ask({
    signal: abort.signal,
    goOut: () => {
      isOut = true
    }
  }).finally(ended)
  // Handles a failure that no caller is left to hear of.
  const settled = answer.then(
    () => undefined,
    () => undefined
  )

  const leave = (): void => {
    waiting--
    if (waiting > 0 || isOut) return
    ended()
    abort.abort(ABANDONED)
  }

  return {
    settled,
    join: (caller) =>
      new Promise<T>((resolve, reject) => {
        waiting++
        let isOver = false
        let forget: (() => void) | undefined
        const over = (): boolean => {
          if (isOver) return false
          isOver = true
          clearTimeout(timer)
          forget?.()
          return true
        }
        const leaveWith = (error: Unavailable): void => {
          if (!over()) return
          leave()
          reject(error)
        }
        const timer = setTimeout(() => leaveWith(callers.late('introspection')), callers.left(caller))
        answer.then(
          (value) => over() && resolve(value),
          (error: unknown) => over() && reject(error)
        )
        forget = caller.onGone?.(() => leaveWith(gone()))
        if (isOver) forget?.()
      })
  }
}

function gone(): Unavailable {
  return new Unavailable('introspection', 'the client closed its connection while its token was waited for')
}
