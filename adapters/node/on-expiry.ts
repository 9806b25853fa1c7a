/** Calls back at a token's end, for connections that outlive requests. */
import { type Timer, world } from '../../src/adapter.js'
import type { Access } from '../../src/index.js'

/** Maximum milliseconds of a timer. Timers treat a larger value as none. */
const LONGEST = 2 ** 31 - 1

/**
 * Calls back when a token ends, for connections that outlive requests: at `acceptedUntil`, which is `exp` plus the
 * API's `clockTolerance`, as for requests. The timer does not keep the process alive. Never called for an access
 * without an end, or for undefined.
 *
 * Does NOT report a revoked token: prefer `access.signal`, which reports both, on every adapter. Use this function with
 * another clock than the API's, or for connections that a revocation must not end.
 *
 * @param now seconds since the epoch. Default: the system clock
 * @returns a function that cancels it: call it when the connection closes
 */
export function onExpiry(
  access: Access | undefined,
  ended: () => void,
  now: () => number = () => world.now()
): () => void {
  const end = access?.acceptedUntil
  let timer: Timer | undefined
  const wait = (until: number): void => {
    const left = (until - now()) * 1000
    timer = world.after(Math.min(Math.max(left, 0), LONGEST), () => (left > LONGEST ? wait(until) : ended()))
    timer.unref()
  }
  if (end !== undefined) wait(end)
  return () => world.cancel(timer)
}
