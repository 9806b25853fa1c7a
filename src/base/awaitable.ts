/**
 * Continues with a value that may be a promise. A known value is handled in the same tick: only a value that is fetched
 * or computed elsewhere costs a promise.
 *
 * Tests: `test/policy/policy.test.ts`.
 */

import type { Awaitable } from '../types.js'
import { type Timer, world } from './world.js'

/** True for a promise or any thenable, such as the promise of another realm. */
export function isPromise<T>(value: T | PromiseLike<T> | undefined): value is Promise<T> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function'
}

/**
 * Returns `next(value)`, now or when the value arrives. A foreign thenable is wrapped in a native promise: its `then`
 * might return something that does not wait for `next`.
 */
export function andThen<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? Promise.resolve(value).then(next) : next(value)
}

/**
 * Returns the value, unless the signal is aborted first.
 *
 * @throws the signal's reason
 */
export async function unlessAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T> {
  let abandon = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    abandon = () => reject(signal.reason)
    if (signal.aborted) abandon()
    else signal.addEventListener('abort', abandon)
  })
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', abandon)
  }
}

/**
 * Bounds the wait for a user's function, which may never answer.
 *
 * @param seconds time until the error of `late` is thrown
 */
export async function withDeadline<T>(value: Awaitable<T>, seconds: number, late: () => Error): Promise<T> {
  let timer: Timer | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = world.after(seconds * 1000, () => reject(late()))
  })
  try {
    return await Promise.race([value, deadline])
  } finally {
    world.cancel(timer)
  }
}
