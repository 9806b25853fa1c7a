/**
 * Keeps the run within the rate and the number of requests that the user allowed, and waits as long as a 429 asks for.
 *
 * Tests: `test/conformance/pace.test.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fieldOf } from '../challenge.js'
import type { WireResponse } from '../check.js'

/** Longest Retry-After that the suite waits for, in seconds. */
const MAX_WAIT = 60
/** Waits for one request, until its 429 is taken for the answer. */
const MAX_RETRIES = 3

/** Requests in a row whose 429 was taken for the answer, until the run sends no more. */
const MAX_REFUSED = 2

/** No request is left of those that were allowed, or the API answers none. */
export class BudgetSpent extends Error {
  override readonly name = 'BudgetSpent'
}

export interface PaceOptions {
  /** Requests a second; `Infinity` for no wait. */
  readonly rate: number
  /** Requests in all. */
  readonly maxRequests: number
  /** Told of each wait for a 429, in seconds. */
  readonly onWait?: ((seconds: number) => void) | undefined
  /** For tests. Default: timers. */
  readonly wait?: ((milliseconds: number) => Promise<unknown>) | undefined
  /** Milliseconds. For tests. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

/** The part of an answer that tells whether to wait. */
type Head = Pick<WireResponse, 'status' | 'fields'>

export interface Pace {
  /** Requests sent so far. */
  readonly sent: number
  /** @param retries  waits until a 429 is taken for the answer, default 3. @throws {BudgetSpent} */
  run<T extends Head>(send: () => Promise<T>, retries?: number): Promise<T>
}

export function createPace(options: PaceOptions): Pace {
  const { rate, maxRequests, onWait, wait = sleep, now = Date.now } = options
  let sent = 0
  /** Milliseconds since the epoch at which the next request may leave. */
  let next = 0
  /** Requests in a row that got 429 however long the suite waited. */
  let refused = 0
  const turn = async (): Promise<void> => {
    if (refused >= MAX_REFUSED)
      throw new BudgetSpent(
        `The API answers 429 to each request, however long the suite waits (${MAX_RETRIES} times up to ${MAX_WAIT} seconds). Raise its limit for this client, or lower --rate.`
      )
    if (sent >= maxRequests)
      throw new BudgetSpent(
        `All ${maxRequests} requests that were allowed are sent. Allow more: --max-requests NUMBER.`
      )
    sent++
    const free = Math.max(next, now())
    next = free + 1000 / rate
    if (free > now()) await wait(free - now())
    // A timer that was late does not shorten the time to the next request.
    next = Math.max(next, now() + 1000 / rate)
  }
  return {
    get sent() {
      return sent
    },
    async run(send, retries = MAX_RETRIES) {
      // Requests that are sent at once are refused at once: they count as one.
      const before = refused
      for (let attempt = 0; ; attempt++) {
        await turn()
        const response = await send()
        if (response.status !== 429) refused = 0
        else if (attempt === retries && retries > 0) refused = before + 1
        if (response.status !== 429 || attempt === retries) return response
        const seconds = Math.min(retryAfterOf(response, now()), MAX_WAIT)
        onWait?.(seconds)
        await wait(seconds * 1000)
      }
    }
  }
}

/** RFC 9110 §10.2.3: seconds or a date. Without either, 5 seconds. */
function retryAfterOf(response: Head, now: number): number {
  const written = fieldOf(response, 'retry-after')?.trim() ?? ''
  if (/^\d+$/.test(written)) return Number(written)
  // A date has the name of a month; the parser of JavaScript takes "-5" for one too.
  const at = /[a-z]{3}/i.test(written) ? Date.parse(written) : Number.NaN
  return Number.isNaN(at) ? 5 : Math.max(0, Math.ceil((at - now) / 1000))
}
