/**
 * Requests that wait. Each request has one deadline for everything that it waits for, counted from the moment it first
 * had to wait. That is when it arrived, because known results are answered in the same tick. All requests with the same
 * token share one question about it. The question is not sent if all of them have left before.
 */

import { isPromise } from '../base/awaitable.js'
import { world } from '../base/world.js'
import { type Dependency, Unavailable } from '../errors/errors.js'
import type { Awaitable, ResourceRequest } from '../types.js'

/** Extra milliseconds after the deadline, so that an exchange with the same deadline can still report why it failed. */
const GRACE = 100

/** The part of a request that says whether its client is still there. */
export type Caller = Pick<ResourceRequest, 'onGone'>

export interface Callers {
  /** Remaining milliseconds until this caller's deadline. */
  left(caller: Caller): number
  /** The error for a caller whose deadline has passed. */
  late(dependency: Dependency): Unavailable
  /**
   * Returns the value if it arrives in time. A known value costs nothing.
   *
   * @throws {Unavailable} the deadline has passed
   */
  inTime<T>(value: Awaitable<T>, caller: Caller, dependency: Dependency): Awaitable<T>
}

/** @param deadline seconds */
export function createCallers(deadline: number): Callers {
  /** When callers first had to wait, in milliseconds of `world.monotonic()`. */
  const arrivals = new WeakMap<Caller, number>()
  const patience = deadline * 1000 + GRACE
  const late = (dependency: Dependency): Unavailable =>
    new Unavailable(dependency, `the request waited for ${deadline} s (\`http.deadline\`)`)
  const left = (caller: Caller): number => {
    const time = world.monotonic()
    const since = arrivals.get(caller)
    // A handler may ask again with the same request, much later.
    if (since !== undefined && time - since <= patience) return since + patience - time
    arrivals.set(caller, time)
    return patience
  }
  const race = <T>(value: Promise<T>, caller: Caller, dependency: Dependency): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = world.after(left(caller), () => reject(late(dependency)))
      value.then(resolve, reject).finally(() => world.cancel(timer))
    })
  return {
    left,
    late,
    inTime: (value, caller, dependency) => (isPromise(value) ? race(value, caller, dependency) : value)
  }
}

/** Tells a question whether callers still wait for it. */
export interface Waiting {
  /** Aborted when the last caller leaves before the question is sent. */
  readonly signal: AbortSignal
  /** From now on the question continues even if all callers leave: the next request can use the answer. */
  goOut(): void
}

/** A call about a token that callers share. */
export interface Question<T> {
  /**
   * The answer, for one more caller.
   *
   * @throws {Unavailable} the caller's deadline has passed, or its client has left; otherwise the error of the question
   */
  join(caller: Caller): Promise<T>
  /** Fulfilled when the question is answered, has failed, or is abandoned. */
  readonly settled: Promise<void>
}

/** No caller sees this error: the last one has left. */
const ABANDONED = new Error('every request that waited for this has left')

/**
 * @param ask called at once
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
  // Handles the rejection if no caller is left to receive it.
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
          world.cancel(timer)
          forget?.()
          return true
        }
        const leaveWith = (error: Unavailable): void => {
          if (!over()) return
          leave()
          reject(error)
        }
        const timer = world.after(callers.left(caller), () => leaveWith(callers.late('introspection')))
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
  return new Unavailable('introspection', 'the client disconnected while its token was introspected')
}
