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

/** No request is left of those that were allowed. */
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
  const turn = async (): Promise<void> => {
    if (sent >= maxRequests)
      throw new BudgetSpent(
        `All ${maxRequests} requests that were allowed are sent. Allow more: --max-requests NUMBER.`
      )
    sent++
    const free = Math.max(next, now())
    next = free + 1000 / rate
    if (free > now()) await wait(free - now())
  }
  return {
    get sent() {
      return sent
    },
    async run(send, retries = MAX_RETRIES) {
      for (let attempt = 0; ; attempt++) {
        await turn()
        const response = await send()
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
  const written = fieldOf(response, 'retry-after') ?? ''
  if (/^\d{1,9}$/.test(written)) return Number(written)
  const at = Date.parse(written)
  return Number.isNaN(at) ? 5 : Math.max(0, Math.ceil((at - now) / 1000))
}
